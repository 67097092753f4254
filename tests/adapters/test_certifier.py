"""A session's key is certified by whatever program the inventory names: the real `ssh-keygen`, or one that answers on stdout."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.certifier_command import CERTIFICATE, CommandCertifier
from support_tunnel.adapters.vault_tmpfs import TmpfsVault
from support_tunnel.cli.secret_source import read_secret
from support_tunnel.core import ssh_key
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.own_certificates import session_certificate
from support_tunnel.core.secret import Secret
from support_tunnel.core.session_wish import SessionWish

TUNNEL = TunnelId("0badcafe" + "0" * 24)
NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
WISH = SessionWish(
    public_key=ssh_key.new_keypair()[1],
    principal="st-0badcafe",
    identity="st:0badcafe:Ada:T-1",
    after=NOW - timedelta(minutes=5),
    before=NOW + timedelta(minutes=30),
    source="fd12:3456:789a:1::1",
    forwards=False,
)
SSH_KEYGEN = (
    "cmd:ssh-keygen -s {authority} -I {{identity}} -n {{principal}} -V {{validity}} {{options}} -q {{public_key}}"
)


@pytest.fixture
def vault() -> Iterator[TmpfsVault]:
    with tempfile.TemporaryDirectory(prefix="support-tunnel-certifier-", dir="/dev/shm") as folder:
        yield TmpfsVault(Path(folder) / "vault")


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    processes.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "Example Ltd", "-f", tmp_path / "org-ca"])
    return tmp_path / "org-ca"


@pytest.mark.parametrize("forwards", [False, True])
def test_ssh_keygen_as_it_is_documented(vault: TmpfsVault, authority: Path, forwards: bool) -> None:
    wish = replace(WISH, forwards=forwards)
    certifier = CommandCertifier(SSH_KEYGEN.format(authority=authority), vault)
    line = session_certificate(certifier.certify(TUNNEL, wish), wish)
    again = session_certificate(certifier.certify(TUNNEL, wish), wish)
    shown = processes.run(["ssh-keygen", "-L", "-f", "-"], stdin=line.encode()).stdout
    assert f'Key ID: "{WISH.identity}"' in shown
    assert ssh_key.fingerprint(WISH.public_key) in shown
    assert again.startswith("ssh-ed25519-cert-v01@openssh.com ")


def test_the_ca_may_be_in_an_agent(vault: TmpfsVault, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        processes.streaming(["ssh-agent", "-D", "-a", f"{folder}/agent"]) as running,
    ):
        assert folder in running.line()
        monkeypatch.setenv("SSH_AUTH_SOCK", f"{folder}/agent")
        processes.run(["ssh-add", "-q", authority], env=processes.agent())
        authority.unlink()
        setting = SSH_KEYGEN.format(authority=f"{authority}.pub").replace("ssh-keygen", "ssh-keygen -U")
        session_certificate(CommandCertifier(setting, vault).certify(TUNNEL, WISH), WISH)
        # A secret that comes from a program, too: `cmd:ssh HOST ...` logs in by the agent.
        assert "Example Ltd" in read_secret("cmd:ssh-add -L", "a secret").reveal()


def test_a_signing_service_gets_the_key_on_stdin_and_answers_on_stdout(vault: TmpfsVault, tmp_path: Path) -> None:
    program = tmp_path / "sign"
    program.write_text('#!/bin/sh\necho "got: $(cat) $*"\n')
    program.chmod(0o755)
    certifier = CommandCertifier(f"cmd:{program} '{{identity}} x' {{source}} ; $(id) {{validity}}", vault)
    assert certifier.certify(TUNNEL, WISH) == (
        f"got: {WISH.public_key} {WISH.identity} x {WISH.source} ; $(id) 20300101115500Z:20300101123000Z"
    )


def test_a_certificate_of_an_earlier_try_is_not_taken_for_this_one(vault: TmpfsVault) -> None:
    vault.put(TUNNEL, CERTIFICATE, Secret(b"of an earlier try"))
    assert CommandCertifier("cmd:true", vault).certify(TUNNEL, WISH) == ""


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("cmd:false", "exit status 1"),
        ("cmd:/nonexistent/sign", "not installed"),
        ("cmd:ls /nonexistent", "No such file"),
    ],
)
def test_a_program_that_gives_none_is_named(vault: TmpfsVault, setting: str, said: str) -> None:
    with pytest.raises(HostError) as refused:
        CommandCertifier(setting, vault).certify(TUNNEL, WISH)
    assert refused.value.code == "certificate.refused"
    assert said in refused.value.message


@pytest.mark.parametrize(
    "setting",
    [
        "ssh-keygen -s ca",
        "cmd:",
        "cmd:'",
        "file:/x",
        "cmd:sign {psk}",
        "cmd:sign -O={options}",
        "cmd:x {options} {options}",
    ],
)
def test_a_setting_that_is_no_program_is_refused(vault: TmpfsVault, setting: str) -> None:
    with pytest.raises(UsageError) as refused:
        CommandCertifier(setting, vault)
    assert refused.value.code == "config.certificate"
