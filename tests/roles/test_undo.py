"""Each role of a device, applied with a journal and undone: files and accounts are as before, byte for byte, owner and mode.

In a mount namespace of the test's own, with a stand-in for systemctl; what becomes of real units and processes is judged on
real hosts (test_end.py, tests/desired/test_units.py).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from support_tunnel.core.secret import Secret
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.desired import Report, compile_roles
from tests.desired.bench import SHELLS, Bench, Tree, make_bench, tree
from tests.desired.private_accounts import Accounts, Files, private_accounts
from tests.roles.hosts import DEVICE_ROLES, ROLES, TEMPLATES, device_variables
from tests.roles.test_device_install import GIVEN, INSTALLED

pytestmark = pytest.mark.onebox

SYSTEMCTL = """#!/bin/sh
# a systemd that knows every unit, runs none, and believes whatever it is told
case $1 in
    show) case $* in *NeedDaemonReload*) echo NeedDaemonReload=no ;; *) printf 'LoadState=loaded\\nActiveState=inactive\\nUnitFileState=disabled\\n' ;; esac ;;
esac
"""


@pytest.fixture(scope="module", params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    bench = make_bench(tmp_path_factory.mktemp(request.param), request.param)
    systemctl = Path(bench.path.split(":")[0]) / "systemctl"
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    with private_accounts(bench) as made:
        made.inside("mount", "-t", "tmpfs", "ours", "/run")
        made.inside("mkdir", "-p", "/run/systemd/system", "/run/support_tunnel-undo")
        yield made


def seen(host: Accounts) -> tuple[Files, Tree]:
    return host.files(), tree(host.view / "run")


def apply(bench: Bench, role: str, journal: str) -> Report:
    key = Secret(secrets.token_urlsafe(32))
    given = device_variables(
        device_tunnel_private_key=key,
        device_tunnel_psk=key,
        device_tunnel_server_public_key="A" * 43 + "=",
        device_tunnel_server_endpoint="192.0.2.1:51999",
        device_access_host_key=new_keypair()[0],
        device_access_authorized_keys=[new_keypair()[1]],
        tailscale_node_programs="/opt/tailscale",
        tailscale_node_server_url="https://192.0.2.1",
        tailscale_node_authority="a certificate",
        tailscale_node_key=key,
    )
    plan = compile_roles(ROLES, [role], given | GIVEN, templates=TEMPLATES, undo=journal)
    return plan.report(bench.run(plan.script))


@pytest.mark.parametrize("role", [*DEVICE_ROLES, "tailscale_node", *INSTALLED])
def test_undo_of_a_role_leaves_what_was_there(host: Accounts, role: str) -> None:
    bench = host.bench
    before = seen(host)
    apply(bench, role, str(bench.journal)).raise_for_failure("host")
    assert seen(host) != before
    bench.undo().raise_for_failure("host")
    assert seen(host) == before
    assert not bench.journal.exists()
