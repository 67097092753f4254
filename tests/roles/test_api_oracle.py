"""ansible-playbook as the judge of the role `api`: what it makes of a twin host is what our engine makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support_tunnel.core.secret import Secret
from support_tunnel.flows.deploy_api import StoreAt
from support_tunnel.testing.scratch_cloud import scratch_cloud
from tests.roles.api_host import Host, make_api_host
from tests.roles.hosts import apply
from tests.roles.judge import Ansible

NOWHERE = Secret("host=/run/postgresql dbname=support_tunnel user=support-tunnel-api")
"""A database that is not there yet, which the service waits for; tests/roles/test_api.py has one that is."""

pytestmark = [pytest.mark.onebox, pytest.mark.oracle]


def seen(host: Host) -> list[str]:
    """Kind, owner, mode and digest of all that the role made, but for what pip put into the environment."""
    return host.look(
        """find /opt/support_tunnel /etc/support_tunnel /etc/nginx /etc/systemd/system /usr/local/sbin -path '*/venv/*' -prune -o -print |
            sort | while read -r path; do
            stat -c '%N %F %U:%G %a' "$path"
            [ ! -f "$path" ] || sha256sum <"$path"
        done
        find /opt/support_tunnel/current/venv/lib/*/site-packages -maxdepth 1 -name '*.dist-info' -printf '%f\\n' | sort
        stat -c '%n %U:%G %a' /var/lib/support_tunnel_api
        systemctl is-active support-tunnel-api nginx; systemctl is-enabled support-tunnel-api nginx
        getent passwd support-tunnel-api | cut -d: -f1,5-; readlink /opt/support_tunnel/current"""
    ).splitlines()


def test_the_api_is_what_ansible_makes_of_it(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("tls", "ansible")]
    for folder in folders:
        folder.mkdir()
    with (
        scratch_cloud() as driver,
        make_api_host(driver, folders[0], "ours") as ours,
        make_api_host(driver, folders[0], "theirs") as theirs,  # the same certificate
    ):
        for host in (ours, theirs):
            host.install_packages()
        given = ours.variables(store=StoreAt(NOWHERE)) | {"api_packages": []}
        ansible = Ansible(folders[1], theirs.url.removeprefix("https://"), "root", theirs.ssh_key, theirs.host_key)
        assert apply(ours.shell, ("api",), given).changed
        assert ansible.play(("api",), given) > 0
        assert seen(ours) == seen(theirs)
        assert not apply(ours.shell, ("api",), given).changed
        assert ansible.play(("api",), given) == 0
