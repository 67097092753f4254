"""The frozen known-answer test of ST1 (05-threats test 23): st1_kat.json was generated once and is compared byte for byte.

Devices in the field speak these bytes. If this test fails, the change that made it fail breaks them: do not regenerate the
file, give the protocol a new version.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

from support_tunnel.core.consent import by_owner
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import schedule
from support_tunnel.core.st1.admin import AdminOffer
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.device import DeviceOffer
from support_tunnel.core.st1.entropy import Entropy
from support_tunnel.core.st1.payloads import WireguardPath
from support_tunnel.core.st1.signer import KeySigner, Trust


def scripted(given: dict[str, str], *names: str) -> Entropy:
    """Hand out the file's values in the order in which they are drawn, and check each one's length."""
    left = list(names)

    def token(count: int) -> bytes:
        value = bytes.fromhex(given[left.pop(0)])
        assert len(value) == count
        return value

    return Entropy(token, lambda _: (bytes.fromhex(given["mlkem_shared"]), bytes.fromhex(given["mlkem_ciphertext"])))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def computed(given: dict[str, Any]) -> dict[str, str]:
    """Run both sides on the file's inputs and return every output."""
    code = Code(Secret(bytes.fromhex(given["seed"])))
    device = DeviceOffer.make(
        code,
        scope=Scope("shell", (8080,)),
        max_ttl=3600,
        name=given["device_name"],
        wireguard_public=given["device_wireguard"],
        ssh_host_key=given["host_key"],
        now=moment(given["offered_at"]),
        entropy=scripted(
            given, "mlkem_seed", "x25519_private", "sas_nonce", "m1_salt", "m3_salt", "m4_salt", "device_control_salt"
        ),
    )
    offer = AdminOffer.open(
        code, device.message, entropy=scripted(given, "ephemeral_private", "m2_salt", "admin_control_salt")
    )
    admin = offer.answer(
        paths=[
            WireguardPath("192.0.2.7:51820", given["server_wireguard"]),
            WireguardPath("[2001:db8::7]:51820", given["server_wireguard"]),
        ],
        ssh_keys=[given["session_key"]],
        scope=Scope("view"),
        ttl=900,
        name=given["admin_name"],
        signer=KeySigner(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(given["signer_private"]))),
    )
    session = device.open_answer(admin.message, trust=Trust(), now=moment(given["confirmed_at"]))
    m3 = session.confirm(moment(given["confirmed_at"]))
    digits = admin.read_confirm(m3, moment(given["confirmed_at"]))
    assert session.digits_match(digits)
    m4 = session.ready(
        consent=by_owner(session), user="st01234567", until=session.until, path=1, log_head=given["device_log_head"]
    )
    assert admin.read_ready(m4).path == 1
    from_admin = admin.channel().send("ping", given["admin_log_head"], now=moment(given["control_at"]))
    from_device = session.channel().send("stopped", given["device_log_head"], now=moment(given["control_at"]))
    assert session.psk == admin.psk
    return {
        "code": code.text().reveal(),
        "prk": code.prk.reveal().hex(),
        "tid": code.tunnel,
        "claim": code.claim.reveal().hex(),
        "network": str(code.network),
        "m1": device.message.hex(),
        "m2": admin.message.hex(),
        "m3": m3.hex(),
        "m4": m4.hex(),
        "m5_admin": from_admin.hex(),
        "m5_device": from_device.hex(),
        "m1_hash": schedule.sha256(device.message).hex(),
        "h2": session.transcript.hex(),
        "digits": digits,
        "psk": session.psk_base64.reveal(),
    }


@pytest.fixture(scope="module")
def frozen() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(__file__).parent / "st1_kat.json").read_text())
    return found


def test_23_whole_schedule(frozen: dict[str, Any]) -> None:
    assert computed(frozen["inputs"]) == frozen["outputs"]


def test_23_mlkem_of_the_file(frozen: dict[str, Any]) -> None:
    """The stored ciphertext really is one for the stored key: FIPS 203 decapsulation is deterministic."""
    given = frozen["inputs"]
    key = MLKEM768PrivateKey.from_seed_bytes(bytes.fromhex(given["mlkem_seed"]))
    assert key.decapsulate(bytes.fromhex(given["mlkem_ciphertext"])).hex() == given["mlkem_shared"]
    assert base64.b64decode(frozen["outputs"]["psk"]) != bytes(32)


def test_23_spoken_codes(frozen: dict[str, Any]) -> None:
    for known in frozen["spoken"]:
        code = Code(Secret(bytes.fromhex(known["seed"])))
        assert Code.parse(known["words"]).tunnel == code.tunnel
        assert {
            "seed": known["seed"],
            "words": code.text().reveal(),
            "prk": code.prk.reveal().hex(),
            "tid": code.tunnel,
            "claim": code.claim.reveal().hex(),
            "network": str(code.network),
        } == known
