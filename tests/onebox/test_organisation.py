"""A device of an organisation: its helper is asked about by name and logs in by certificate; a phisher meets a closed door."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support_tunnel.adapters import processes
from support_tunnel.core import ssh_key
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Completed
from tests.onebox.crew import HOST_STATE, PATIENCE, Crew, last_json
from tests.onebox.test_owner import DECISION, DIGITS, asked, request

pytestmark = pytest.mark.onebox

SIGN = "cmd:ssh-keygen -s {authority} -I {{identity}} -n {{principal}} -V {{validity}} {{options}} -q {{public_key}}"


@pytest.fixture(scope="module")
def organised(people: Crew) -> Iterator[Crew]:
    """The same people, of Example Ltd: its CA is on the device, the admin's key is certified."""
    folder = people.on.folder
    authority, signer = folder / "org-ca", Path(people.on.settings.signer)
    processes.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "Example Ltd", "-f", authority])
    public = processes.run(["ssh-keygen", "-y", "-f", signer]).stdout
    signer.with_name("signer.pub").write_text(public)
    named = ("-I", "ada@example.com", "-n", "support-tunnel-signer", "-V", "+1d")
    processes.run(["ssh-keygen", "-q", "-s", authority, *named, signer.with_name("signer.pub")])
    people.device(f"printf '%s' '{authority.with_name('org-ca.pub').read_text()}' >/root/org-ca.pub")
    installed = people.inv("install", "--org-ca", "/root/org-ca.pub")
    assert installed.status == 0, installed.stderr
    inventory = yaml.safe_load(people.inventory.read_text())
    inventory["support_tunnel"]["session_certificate"] = SIGN.format(authority=authority)
    file = people.inventory.with_name("organised.yml")
    file.write_text(yaml.safe_dump(inventory))
    yield dataclasses.replace(people, inventory=file)
    signer.with_name("signer-cert.pub").unlink()
    assert people.inv("uninstall").status == 0


@pytest.fixture
def phisher(organised: Crew) -> Crew:
    """Somebody with the code, the API's address and a token, but a key that nobody certified."""
    inventory = yaml.safe_load(organised.inventory.read_text())
    key = organised.on.folder / "phisher"
    key.touch(mode=0o600)
    key.write_text(ssh_key.new_keypair()[0].reveal())
    inventory["support_tunnel"] |= {"signer": str(key), "session_certificate": "", "name": "Example Ltd Support"}
    file = organised.inventory.with_name("phisher.yml")
    file.write_text(yaml.safe_dump(inventory))
    return dataclasses.replace(organised, inventory=file)


def without_certificate(people: Crew, tunnel: TunnelId) -> Completed:
    """Log in with the session's key alone; under a name of its own, because ssh looks for a certificate beside the key."""
    config, key = people.vault_file(tunnel, "ssh-config"), people.vault_file(tunnel, "session-key")
    bare, alone = config.with_name("bare-config"), config.with_name("bare-key")
    alone.touch(mode=0o600)
    alone.write_bytes(key.read_bytes())
    lines = [line for line in config.read_text().splitlines() if "CertificateFile" not in line]
    bare.write_text("\n".join(lines).replace(f"IdentityFile {key}", f"IdentityFile {alone}") + "\n")
    try:
        return processes.run(["ssh", "-F", bare, "support-tunnel-device", "true"], timeout=PATIENCE, accept=None)
    finally:
        bare.unlink()
        alone.unlink()


def test_the_organisations_helper_logs_in_by_certificate_and_by_nothing_else(organised: Crew) -> None:
    before = organised.device(HOST_STATE)
    with asked(organised, "--ttl", "5") as asking:
        assert "verified: Example Ltd (ada@example.com)" in asking.shown
        assert "NOT VERIFIED" not in asking.shown
        asking.screen.types("\n")  # the digits are optional here
        asking.screen.sees(DECISION)
        asking.screen.types("yes\n")
        asking.screen.sees("connected: ")
        assert asking.screen.end() == 0
        ended = asking.helper.end(timeout=PATIENCE)
    assert ended.status == 0, ended.stderr
    tunnel, short = asking.code.tunnel, asking.code.tunnel[:8]
    assert organised.fab("command", short, "id -un").stdout == f"st{short}\n"

    (allowed,) = organised.device(f"cat /run/support_tunnel/{short}/session/authorized_keys").splitlines()
    assert allowed.startswith(f'cert-authority,principals="st-{short}",restrict,pty,')
    logged = organised.device("journalctl --no-pager -o cat -t sshd")
    assert f"ID st:{short}:Rehearsal_admin:- " in logged
    refused = without_certificate(organised, tunnel)
    assert refused.status == 255
    assert "Permission denied" in refused.stderr

    log = organised.device(f"cat /var/log/support_tunnel/{short}.jsonl")
    consented = next(line["data"] for line in map(json.loads, log.splitlines()) if line["event"] == "consented")
    assert (consented["organisation"], consented["key_id"]) == ("Example Ltd", "ada@example.com")
    assert organised.fab("stop", short).status == 0
    organised.closed()
    assert organised.left(tunnel) == []
    assert organised.device(HOST_STATE).splitlines() == before.splitlines()


def test_a_phisher_with_the_code_gets_no_prompt_at_all(phisher: Crew) -> None:
    before = phisher.device(HOST_STATE)
    with request(phisher) as (screen, code):
        answered = phisher.fab("create-tunnel-server", "--json", "-p", "-", stdin=code.text().reveal())
        screen.sees("Error (signer.required)")
        assert screen.end() == 1
    for words in ("Example Ltd Support", "asks to be let in", DIGITS, DECISION):
        assert words not in screen.screen
    assert (answered.status, last_json(answered.stdout)["error"]["code"]) == (4, "tunnel.closed")
    assert phisher.left(code.tunnel) == []
    assert phisher.device(HOST_STATE).splitlines() == before.splitlines()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        ("cp /root/org-ca.pub FILE; chown nobody FILE", "file.owner"),
        ("echo 'ssh-rsa AAAA Example Ltd' >FILE", "trust.key"),
    ],
)
def test_a_list_that_is_wrong_is_refused_and_changes_nothing(organised: Crew, make: str, code: str) -> None:
    settings = "cat /etc/support_tunnel/config.ini /etc/support_tunnel/org-ca.pub"
    before = organised.device(settings)
    assert "org-ca = /etc/support_tunnel/org-ca.pub" in before
    organised.device(f"rm -f FILE\n{make}".replace("FILE", "/root/given.pub"))
    refused = organised.inv("install", "--org-ca", "/root/given.pub")
    assert refused.status == 2
    assert refused.stderr.startswith(f"Error ({code})")
    assert organised.device(settings) == before
