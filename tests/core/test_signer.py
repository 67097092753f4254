"""Who may be the helper: 05-threats test 25, and byte compatibility with the real `ssh-keygen` both ways.

Over 300 lines: every way of not counting as a helper, beside the one maker of certificates that all of them bend.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificateBuilder, SSHCertificateType

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import sshsig
from support_tunnel.core.st1.signer import PRINCIPAL, KeySigner, Organisation, SignerIdentity, Trust
from support_tunnel.core.states import DeviceState

Certify = Callable[..., KeySigner]


@pytest.fixture(scope="module")
def authority() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def trust(authority: Ed25519PrivateKey) -> Trust:
    return Trust((Organisation("Example Ltd", (ssh_key.public_line(authority.public_key()),)),))


@pytest.fixture
def certify(authority: Ed25519PrivateKey, parties: Any) -> Certify:
    def make(
        *,
        key: Ed25519PrivateKey | None = None,
        by: Any = authority,
        principals: tuple[str, ...] = (PRINCIPAL,),
        after: timedelta = timedelta(minutes=-5),
        before: timedelta = timedelta(hours=1),
        kind: SSHCertificateType = SSHCertificateType.USER,
        options: dict[bytes, bytes] | None = None,
    ) -> KeySigner:
        key = key or Ed25519PrivateKey.generate()
        builder = (
            SSHCertificateBuilder()
            .public_key(key.public_key())
            .serial(7)
            .type(kind)
            .key_id(b"ann+T-1234")
            .valid_principals([p.encode() for p in principals])
            .valid_after(int((parties.now + after).timestamp()))
            .valid_before(int((parties.now + before).timestamp()))
        )
        for name, value in (options or {}).items():
            builder = builder.add_critical_option(name, value)
        return KeySigner(key, certificate=builder.sign(by).public_bytes().decode())

    return make


def outcome(parties: Any, trust: Trust, signer: Any, mutate: Any = lambda a: a) -> SignerIdentity | str:
    """The identity the owner would be shown, or the code of the refusal, which must have ended the tunnel."""
    parties.trust = trust
    device = parties.offer()
    m2 = parties.hostile_answer(device.message, signer=signer, mutate=mutate)
    try:
        found: SignerIdentity = parties.opened(device, m2).signer
    except MessageError as error:
        assert device.state is DeviceState.STOPPED
        return error.code
    return found


def identity(found: SignerIdentity | str) -> SignerIdentity:
    assert isinstance(found, SignerIdentity)
    return found


# --- mode A ---------------------------------------------------------------------------------------------------------


def test_a_bare_key_is_never_verified(parties: Any) -> None:
    found = identity(outcome(parties, Trust(), parties.signer))
    assert (found.organisation, found.fingerprint) == (None, ssh_key.fingerprint(parties.signer.line))


def test_a_certificate_counts_as_its_key_where_nobody_is_pinned(parties: Any, certify: Certify) -> None:
    assert identity(outcome(parties, Trust(), certify(before=timedelta(minutes=-1)))).organisation is None


def test_a_key_is_revoked_in_both_modes(parties: Any, trust: Trust, certify: Certify) -> None:
    revoked = frozenset({ssh_key.fingerprint(parties.signer.line)})
    assert outcome(parties, Trust(revoked=revoked), parties.signer) == "signer.revoked"
    key = Ed25519PrivateKey.generate()
    mine = frozenset({ssh_key.fingerprint(ssh_key.public_line(key.public_key()))})
    assert outcome(parties, replace(trust, revoked=mine), certify(key=key)) == "signer.revoked"
    authority = frozenset({ssh_key.fingerprint(trust.organisations[0].authorities[0])})
    assert outcome(parties, replace(trust, revoked=authority), certify()) == "signer.revoked"


class Forger:
    """Names one signer and signs as somebody, or something, else."""

    def __init__(self, line: str, key: Ed25519PrivateKey, bend: Callable[[bytes], bytes], namespace: str) -> None:
        self.line, self._key, self._bend, self._namespace = line, key, bend, namespace

    def sign(self, message: bytes) -> bytes:
        return sshsig.sign(self._key, self._bend(message), namespace=self._namespace)


@pytest.mark.parametrize(
    ("own_key", "bend", "namespace"),
    [
        (False, lambda m: m, "st1-answer"),  # by another key
        (True, lambda m: m[:24] + bytes(32) + m[56:], "st1-answer"),  # of another M1: its hash stands in the header
        (True, lambda m: m.replace(b'"ttl":600', b'"ttl":601'), "st1-answer"),  # of other fields
        (True, lambda m: m, "file"),  # made for another purpose
    ],
)
def test_25_signatures_that_are_of_something_else(
    parties: Any, own_key: bool, bend: Callable[[bytes], bytes], namespace: str
) -> None:
    real = Ed25519PrivateKey.generate()
    line = ssh_key.public_line(real.public_key())
    forger = Forger(line, real if own_key else Ed25519PrivateKey.generate(), bend, namespace)
    assert outcome(parties, Trust(), forger) == "signer.signature"
    assert isinstance(outcome(parties, Trust(), Forger(line, real, lambda m: m, "st1-answer")), SignerIdentity)


# --- mode B ---------------------------------------------------------------------------------------------------------


def test_b_organisation_vouches(parties: Any, trust: Trust, certify: Certify) -> None:
    found = identity(outcome(parties, trust, certify()))
    assert (found.organisation, found.key_id) == ("Example Ltd", "ann+T-1234")


def test_b_rotation_accepts_either_key(parties: Any, trust: Trust, certify: Certify) -> None:
    fresh = Ed25519PrivateKey.generate()
    both = (*trust.organisations[0].authorities, ssh_key.public_line(fresh.public_key()))
    rotating = Trust((Organisation("Example Ltd", both),))
    for authority in ({}, {"by": fresh}):
        assert identity(outcome(parties, rotating, certify(**authority))).organisation == "Example Ltd"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"before": timedelta(seconds=0)}, "signer.expired"),
        ({"after": timedelta(seconds=1)}, "signer.not_yet"),
        ({"principals": ("root",)}, "signer.principal"),
        ({"principals": ("somebody", "support-tunnel-signers")}, "signer.principal"),
        ({"by": Ed25519PrivateKey.generate()}, "signer.unknown_ca"),
        ({"by": ec.generate_private_key(ec.SECP256R1())}, "signer.type"),
        ({"kind": SSHCertificateType.HOST}, "signer.type"),
        ({"options": {b"source-address": b"192.0.2.1"}}, "signer.options"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_25_certificates_that_do_not_count(
    parties: Any, trust: Trust, certify: Certify, how: dict[str, Any], code: str
) -> None:
    assert outcome(parties, trust, certify(**how)) == code


def test_25_bare_key_where_an_organisation_is_pinned(parties: Any, trust: Trust) -> None:
    assert outcome(parties, trust, parties.signer) == "signer.required"


def test_25_public_half_of_a_real_certificate(parties: Any, trust: Trust, certify: Certify) -> None:
    copied = Forger(certify().line, Ed25519PrivateKey.generate(), lambda m: m, "st1-answer")
    assert outcome(parties, trust, copied) == "signer.signature"


def test_25_certificate_that_was_tampered_with(parties: Any, trust: Trust, certify: Certify) -> None:
    key = Ed25519PrivateKey.generate()
    line = certify(key=key).line
    for at in (-8, 400):
        broken = line[:at] + ("A" if line[at] != "A" else "B") + line[at + 1 :]
        found = outcome(parties, trust, KeySigner(key, certificate=broken))
        assert isinstance(found, str)
        assert found.startswith(("signer.", "msg."))


def test_25_certificate_that_only_names_the_authority(parties: Any, trust: Trust, certify: Certify) -> None:
    """All of it is right but the signature: the attacker signed it, and put the organisation's public key in place of theirs."""
    key, own = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    kind, text = certify(key=key, by=own).line.split()[:2]
    named = ssh_key.parse_public(trust.organisations[0].authorities[0]).public_bytes_raw()
    blob = base64.b64decode(text)
    assert blob.count(own.public_key().public_bytes_raw()) == 1
    forged = blob.replace(own.public_key().public_bytes_raw(), named)
    signer = KeySigner(key, certificate=f"{kind} {base64.b64encode(forged).decode()}")
    assert outcome(parties, trust, signer) == "signer.certificate"


def test_25_certificate_full_of_garbage(parties: Any, trust: Trust) -> None:
    line = "ssh-ed25519-cert-v01@openssh.com " + "AAAA" * 40
    found = outcome(parties, trust, KeySigner(Ed25519PrivateKey.generate(), certificate=line))
    assert found == "signer.certificate"


def test_25_certificate_for_all_principals(tmp_path: Path, parties: Any) -> None:
    """OpenSSH takes a certificate without principals for everybody's; here it is nobody's."""
    signer, authority = certified_by_ssh_keygen(tmp_path, principals=())
    assert outcome(parties, Trust((Organisation("Example Ltd", (authority,)),)), signer) == "signer.principal"


def test_organisation_names_are_printable() -> None:
    with pytest.raises(UsageError):
        Organisation("Example\x1b[2J", ())
    with pytest.raises(UsageError):
        Organisation("Example", ("ssh-rsa AAAA",))


# --- the real ssh-keygen --------------------------------------------------------------------------------------------


def ssh_keygen(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ssh-keygen", *arguments], input=stdin, capture_output=True, timeout=20, check=False)


def test_ssh_keygen_accepts_our_keys_and_signatures(tmp_path: Path) -> None:
    private, public = ssh_key.new_keypair("ann at work")
    key = tmp_path / "key"
    key.write_text(private.reveal())
    key.chmod(0o600)
    assert ssh_keygen("-y", "-f", str(key)).stdout.decode() == f"{public} ann at work\n"
    listed = ssh_keygen("-l", "-f", str(key)).stdout.decode().split()
    assert listed[1] == ssh_key.fingerprint(public)
    (tmp_path / "allowed").write_text(f'ann namespaces="st1-answer" {public}\n')
    blob = KeySigner.from_openssh(private).sign(b"the message")
    (tmp_path / "sig").write_text(sshsig.armored(blob))
    verify = (
        "-Y",
        "verify",
        "-f",
        str(tmp_path / "allowed"),
        "-I",
        "ann",
        "-n",
        "st1-answer",
        "-s",
        str(tmp_path / "sig"),
    )
    assert ssh_keygen(*verify, stdin=b"the message").returncode == 0
    assert ssh_keygen(*verify, stdin=b"another message").returncode != 0


def test_we_accept_ssh_keygens_keys_and_signatures(tmp_path: Path) -> None:
    key = tmp_path / "key"
    assert ssh_keygen("-t", "ed25519", "-N", "", "-C", "", "-q", "-f", str(key)).returncode == 0
    signed = ssh_keygen("-Y", "sign", "-f", str(key), "-n", "st1-answer", stdin=b"the message").stdout.decode()
    public = " ".join((tmp_path / "key.pub").read_text().split()[:2])
    blob = sshsig.unarmored(signed)
    assert sshsig.verifies(ssh_key.parse_public(public), b"the message", blob)
    assert not sshsig.verifies(ssh_key.parse_public(public), b"another message", blob)
    assert not sshsig.verifies(ssh_key.parse_public(public), b"the message", blob, namespace="file")
    # Ed25519 has one signature a message: ours must be the same bytes.
    assert KeySigner.from_openssh(Secret(key.read_text())).sign(b"the message") == blob


def certified_by_ssh_keygen(folder: Path, *, principals: tuple[str, ...]) -> tuple[KeySigner, str]:
    """Return a signer with a certificate that the real tool made, and the authority's line."""
    for name in ("ca", "key"):
        assert ssh_keygen("-t", "ed25519", "-N", "", "-q", "-C", "", "-f", str(folder / name)).returncode == 0
    named = ["-n", ",".join(principals)] if principals else []
    made = ssh_keygen(
        "-s", str(folder / "ca"), "-I", "ann", *named, "-V", "20260101:20270101", "-q", str(folder / "key.pub")
    )
    assert made.returncode == 0, made.stderr
    certificate = " ".join((folder / "key-cert.pub").read_text().split()[:2])
    authority = " ".join((folder / "ca.pub").read_text().split()[:2])
    return KeySigner.from_openssh(Secret((folder / "key").read_text()), certificate=certificate), authority


def test_ssh_keygens_certificate_is_verified(tmp_path: Path, parties: Any) -> None:
    signer, authority = certified_by_ssh_keygen(tmp_path, principals=(PRINCIPAL,))
    found = identity(outcome(parties, Trust((Organisation("Example Ltd", (authority,)),)), signer))
    assert (found.organisation, found.key_id) == ("Example Ltd", "ann")


@pytest.mark.parametrize(
    "text", ["", "garbage", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"]
)
def test_private_keys_that_are_none(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        KeySigner.from_openssh(Secret(text))
    assert caught.value.code == "key.ssh"


def test_private_key_of_another_type(tmp_path: Path) -> None:
    assert ssh_keygen("-t", "ecdsa", "-N", "", "-q", "-f", str(tmp_path / "key")).returncode == 0
    with pytest.raises(UsageError, match="ssh-ed25519"):
        KeySigner.from_openssh(Secret((tmp_path / "key").read_text()))


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN SSH SIGNATURE-----\n***\n-----END SSH SIGNATURE-----"])
def test_armor_that_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - base64 has its own words
        sshsig.unarmored(text)
