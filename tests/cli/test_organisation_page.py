"""docs/organisation.md does what it says: its commands are run as written, and what they make is what devices and tools take."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from support_tunnel.adapters import processes
from support_tunnel.adapters.certifier_command import CommandCertifier
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.vault_tmpfs import TmpfsVault
from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.cli.admin.signer import certified_signer
from support_tunnel.cli.device.settings import DeviceSettings
from support_tunnel.cli.device.trust import load_trust
from support_tunnel.core import ssh_key
from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.own_certificates import session_certificate
from support_tunnel.core.session_wish import EARLIER, SessionWish, identity
from support_tunnel.core.st1.signer import SignerIdentity, Trust, verify_signer
from tests.cli.test_stranger import program

PAGE = (Path(__file__).parents[2] / "docs" / "organisation.md").read_text()
TUNNEL = TunnelId("0badcafe" + "0" * 24)


@dataclass(frozen=True, slots=True)
class Organised:
    """The folder in which the page's commands ran, one after another, with Ada's key in it."""

    folder: Path

    @property
    def settings(self) -> AdminSettings:
        return replace(AdminSettings(), signer=str(self.folder / "signer_ed25519"))

    def trust(self, org_ca: str, revoked: str = "") -> Trust:
        revoked = str(self.folder / revoked) if revoked else ""
        return load_trust(replace(DeviceSettings("", "", ""), org_ca=str(self.folder / org_ca), revoked=revoked))

    def shown(self, trust: Trust) -> SignerIdentity:
        signer = certified_signer(self.settings, now=SystemClock().now())
        return verify_signer(signer.line, b"an answer", signer.sign(b"an answer"), trust=trust, now=SystemClock().now())


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Organised:
    folder = tmp_path_factory.mktemp("organisation")
    created = program("fab", folder)("key.create")
    assert created.status == 0, created.stderr
    keys = folder / ".config" / "support_tunnel"
    for name in ("signer_ed25519", "signer_ed25519.pub"):
        (keys / name).rename(folder / name)
    for block in blocks("sh"):
        processes.run(["env", "-C", folder, "sh", "-eu"], stdin=block.encode())
    return Organised(folder)


def test_the_certified_person_is_verified_by_name(made: Organised) -> None:
    found = made.shown(made.trust("example-ca.pub"))
    assert (found.organisation, found.key_id) == ("Example Ltd", "ada@example.com")


def test_during_a_rotation_either_key_counts(made: Organised) -> None:
    assert made.shown(made.trust("both.pub")).organisation == "Example Ltd"
    assert len(made.trust("both.pub").authorities("Example Ltd")) == 2
    with pytest.raises(MessageError) as refused:
        made.shown(made.trust("example-ca-next.pub"))
    assert refused.value.code == "signer.unknown_ca"


def test_a_revoked_person_is_nobody(made: Organised) -> None:
    with pytest.raises(MessageError) as refused:
        made.shown(made.trust("example-ca.pub", "revoked"))
    assert refused.value.code == "signer.revoked"


def test_the_key_that_is_handed_in_is_the_public_half_alone(made: Organised) -> None:
    public = (made.folder / "signer_ed25519.pub").read_text()
    assert public.startswith("ssh-ed25519 ")
    assert "PRIVATE" not in public
    assert len(public.splitlines()) == 1


@pytest.fixture
def vault() -> Iterator[TmpfsVault]:
    with tempfile.TemporaryDirectory(prefix="support-tunnel-organisation-", dir="/dev/shm") as folder:
        yield TmpfsVault(Path(folder) / "vault")


def test_the_inventorys_line_certifies_a_session(made: Organised, vault: TmpfsVault) -> None:
    (setting,) = (yaml.safe_load(block)["support_tunnel"]["session_certificate"] for block in blocks("yaml"))
    assert "/etc/example/" in setting
    now = SystemClock().now()
    wish = SessionWish(
        public_key=ssh_key.new_keypair()[1],
        principal="st-0badcafe",
        identity=identity(TUNNEL, "Ada", "T-1234"),
        after=now - EARLIER,
        before=now + timedelta(minutes=30),
        source="fd12:3456:789a:1::1",
        forwards=False,
    )
    certifier = CommandCertifier(setting.replace("/etc/example/", f"{made.folder}/"), vault)
    assert session_certificate(certifier.certify(TUNNEL, wish), wish)


@pytest.mark.parametrize("word", ["public_key", "principal", "identity", "validity", "source", "options"])
def test_every_word_of_the_table_is_known(vault: TmpfsVault, word: str) -> None:
    assert f"| `{{{word}}}` |" in PAGE
    CommandCertifier(f"cmd:sign {{{word}}}", vault)


# --- the admin's own certificate, by the settings -------------------------------------------------------------------


def test_a_certificate_is_found_beside_the_key_or_where_the_setting_says(made: Organised, tmp_path: Path) -> None:
    now = SystemClock().now()
    beside = certified_signer(made.settings, now=now).line
    assert beside.startswith("ssh-ed25519-cert-v01@openssh.com ")
    elsewhere = tmp_path / "mine.pub"
    elsewhere.write_text(beside + " a remark\n")
    for setting in (f"file:{elsewhere}", f"cmd:cat {elsewhere}"):
        assert certified_signer(replace(made.settings, signer_certificate=setting), now=now).line == beside
    key = tmp_path / "key"
    key.write_text((made.folder / "signer_ed25519").read_text())
    assert certified_signer(replace(made.settings, signer=str(key)), now=now).line.startswith("ssh-ed25519 ")


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("file:/nonexistent", "secret.source"),
        ("/etc/hostname", "secret.source"),
        ("file:/etc/hostname", "signer.certificate"),
        ("cmd:true", "signer.certificate"),
    ],
)
def test_a_setting_that_leads_to_no_certificate_is_refused(made: Organised, setting: str, code: str) -> None:
    with pytest.raises(UsageError) as refused:
        certified_signer(replace(made.settings, signer_certificate=setting), now=SystemClock().now())
    assert refused.value.code == code


def test_an_expired_one_is_said(made: Organised) -> None:
    with pytest.raises(UsageError) as refused:
        certified_signer(made.settings, now=SystemClock().now() + timedelta(days=31))
    assert refused.value.code == "signer.expired"
