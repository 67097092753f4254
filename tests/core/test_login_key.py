"""Which public keys a helper may bring: what ssh-keygen writes, to the byte, and nothing that looks like it."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core import login_key, ssh_key
from support_tunnel.core.errors import UsageError
from support_tunnel.core.st1.schedule import lp

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZBkfWebWr1LgbFtedj9EBAbZtpmttdf0Yz2EOMh9iU"
RAW = base64.b64decode(ED25519.split()[1])[-32:]
POINT = (
    ec.derive_private_key(7, ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)


def line(*parts: bytes) -> str:
    return f"{parts[0].decode()} {base64.b64encode(lp(*parts)).decode()}"


P256 = line(b"ecdsa-sha2-nistp256", b"nistp256", POINT)
SK_ED25519 = line(b"sk-ssh-ed25519@openssh.com", RAW, b"ssh:")
SK_P256 = line(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", POINT, b"ssh:office")
GOOD = {"ed25519": ED25519, "p256": P256, "sk-ed25519": SK_ED25519, "sk-p256": SK_P256}


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
@pytest.mark.parametrize("kind", GOOD)
def test_ssh_keygen_reads_the_same(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "key.pub"
    file.write_text(GOOD[kind] + " ann@laptop\n")
    shown = subprocess.run(["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True).stdout
    assert shown.split()[1] == login_key.fingerprint(GOOD[kind])
    assert login_key.read_file(file.read_text()) == GOOD[kind]


def test_one_fingerprint_of_an_ed25519_key() -> None:
    assert login_key.fingerprint(ED25519) == ssh_key.fingerprint(ED25519)


BAD = {
    "nothing": "",
    "comment": ED25519 + " ann",
    "options": f'command="id" {ED25519}',
    "two lines": f"{ED25519}\n{ED25519}",
    "line break": ED25519 + "\n",
    "another type's name": ED25519.replace("ssh-ed25519", "ecdsa-sha2-nistp256"),
    "rsa": line(b"ssh-rsa", b"\x01\x00\x01", b"\x00" + b"\xd9" * 64),
    "dsa by its name": ED25519.replace("ssh-ed25519", "ssh-dss"),
    "p384": line(b"ecdsa-sha2-nistp384", b"nistp384", b"\x04" + b"\x01" * 96),
    "another curve inside": line(b"ecdsa-sha2-nistp256", b"nistp384", POINT),
    "not on the curve": line(b"ecdsa-sha2-nistp256", b"nistp256", b"\x04" + b"\x01" * 64),
    "compressed": line(b"ecdsa-sha2-nistp256", b"nistp256", b"\x02" + POINT[1:33] + bytes(32)),
    "the point at infinity": line(b"ecdsa-sha2-nistp256", b"nistp256", b"\0" * 65),
    "short ed25519": line(b"sk-ssh-ed25519@openssh.com", RAW[:-1], b"ssh:application"),
    "another application": line(b"sk-ssh-ed25519@openssh.com", RAW, b"https://example.net"),
    "a control sign in it": line(b"sk-ssh-ed25519@openssh.com", RAW, b"ssh:\x1b[2J"),
    "no application": line(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", POINT),
    "a part more": line(b"ecdsa-sha2-nistp256", b"nistp256", POINT, b"more"),
    "a byte more": f"ecdsa-sha2-nistp256 {base64.b64encode(lp(b'ecdsa-sha2-nistp256', b'nistp256', POINT) + b'x').decode()}",
    "a byte less": f"ecdsa-sha2-nistp256 {base64.b64encode(lp(b'ecdsa-sha2-nistp256', b'nistp256', POINT)[:-1]).decode()}",
    "certificate": line(b"ssh-ed25519-cert-v01@openssh.com", bytes(32), RAW),
}


@pytest.mark.parametrize("which", BAD)
def test_what_is_none(which: str) -> None:
    for refuse in (login_key.parse, login_key.fingerprint):
        with pytest.raises(UsageError) as caught:
            refuse(BAD[which])
        assert caught.value.code == "key.login"


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", f"{ED25519}\n{P256}\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n", "ssh-ed25519"],
)
def test_a_file_that_is_no_public_key(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        login_key.read_file(text)
    assert caught.value.code == "key.login"
    assert "b3Blbn" not in str(caught.value), "a private key given by mistake is not repeated"


@given(st.sampled_from(sorted(GOOD)), st.integers(0, 200), st.binary(max_size=4))
def test_p10_a_damaged_key_is_refused_or_another(kind: str, at: int, noise: bytes) -> None:
    """One type of error, or a key of the same form: no crash, and no second text for the same bytes."""
    name, data = GOOD[kind].split()
    blob = base64.b64decode(data)
    damaged = blob[:at] + noise + blob[at + 1 :]
    read = refused = None
    try:
        read = login_key.parse(f"{name} {base64.b64encode(damaged).decode()}")
    except UsageError as error:
        refused = error
    assert (refused.code == "key.login") if refused else (read == damaged)
