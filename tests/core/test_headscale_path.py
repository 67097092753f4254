"""The second way of an answer: what a hostile one may say of a Headscale server, and that its key is seen by nobody else."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.admin import AdminOffer, AdminSession
from support_tunnel.core.st1.paths import HeadscalePath, Transport, WireguardPath, read_path
from support_tunnel.core.st1.seal import LONGEST_MESSAGE
from support_tunnel.core.states import DeviceState

BOTH: tuple[Transport, ...] = ("wireguard", "headscale")
JOIN_KEY = "hskey-auth-" + "k" * 12 + "-" + "J0" * 32


def certificate(*, authority: bool | None = True) -> bytes:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime(2026, 5, 4, tzinfo=UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "support-tunnel 01234567")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    ).not_valid_before(now).not_valid_after(now + timedelta(days=1))  # fmt: skip
    if authority is not None:
        made = made.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


AUTHORITY = certificate()
GOOD = HeadscalePath("https://192.0.2.7:443", AUTHORITY, Secret(JOIN_KEY))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Raw:
    """A path as somebody else's tool writes it."""

    transport = "headscale"

    def __init__(self, **changes: object) -> None:
        self.said = {**GOOD.to_json(), **changes}

    def to_json(self) -> dict[str, object]:
        return self.said


def test_both_ways_arrive_in_their_order(parties: Any) -> None:
    device = parties.offer(transports=BOTH)
    ways = [WireguardPath("192.0.2.7:51820", parties.wireguard), GOOD]
    admin = parties.answer(device.message, paths=ways)
    assert parties.opened(device, admin.message).answer.paths == tuple(ways)
    assert len(admin.message) <= LONGEST_MESSAGE
    assert AdminSession.load(admin.dump()).answer.paths == tuple(ways)


def test_four_such_paths_fit_into_a_message(parties: Any) -> None:
    largest = HeadscalePath(
        f"https://[{'2001:db8:' + 'ffff:' * 5}ffff]:65535", AUTHORITY, Secret("hskey-auth-" + "k" * 200)
    )
    device = parties.offer(transports=BOTH)
    admin = parties.answer(device.message, paths=[largest] * 4)
    assert len(admin.message) <= LONGEST_MESSAGE
    assert len(parties.opened(device, admin.message).answer.paths) == 4


def test_16_a_way_that_was_not_offered_is_refused_by_both(parties: Any) -> None:
    for offered in (("wireguard",), ("headscale",)):
        way = GOOD if offered == ("wireguard",) else WireguardPath("192.0.2.7:51820", parties.wireguard)
        device = parties.offer(transports=offered)
        with pytest.raises(UsageError):
            AdminOffer.open(parties.code, device.message).answer(**parties.fields(paths=[way]))
        with pytest.raises(MessageError) as caught:
            parties.opened(device, parties.hostile_answer(device.message, paths=[way]))
        assert (caught.value.code, device.state) == ("msg.value", DeviceState.STOPPED)


HOSTILE: dict[str, list[object]] = {
    "control": [
        "http://192.0.2.7:443", "https://hs.example.net:443", "https://192.0.2.7", "https://192.0.2.7:443/", "https://192.0.2.7:0443",
        "https://u:p@192.0.2.7:443", "https://192.0.2.7:443\n--ssh", "HTTPS://192.0.2.7:443", "https://169.254.169.254:80",
        "https://[fe80::1%eth0]:443", "https://https://192.0.2.7:443", "192.0.2.7:443", "https://0.0.0.0:443", "", None, 443, ["https://192.0.2.7:443"],
    ],
    "authority": [
        "", "AAAA", b64(AUTHORITY)[:-4], b64(AUTHORITY + b"\0"), b64(AUTHORITY * 2), b64(AUTHORITY[:-1]), b64(b"0" * 2049),
        b64(certificate(authority=False)), b64(certificate(authority=None)), b64(x509.load_der_x509_certificate(AUTHORITY).public_bytes(Encoding.PEM)),
        " " + b64(AUTHORITY), b64(AUTHORITY) + "\n", None, 7, [b64(AUTHORITY)],
    ],
    "join_key": [
        "", "tskey-auth-" + "k" * 60, JOIN_KEY + "\n", JOIN_KEY + " --ssh", "file:/etc/shadow", "hskey-api-" + "k" * 60, "hskey-auth-" + "k" * 19,
        "hskey-auth-" + "k" * 201, JOIN_KEY + "'", JOIN_KEY + "$(id)", JOIN_KEY + "\u0661", None, 7, {"key": JOIN_KEY},
    ],
    "transport": ["wireguard", "wireguard-443", "Headscale", "tailscale", "", None, 1, ["headscale"]],
}  # fmt: skip


CASES = [(field, value) for field, values in HOSTILE.items() for value in values]


@pytest.mark.parametrize(("field", "value"), CASES, ids=[f"{field}-{n}" for n, (field, _) in enumerate(CASES)])
def test_17_18_hostile_values(parties: Any, field: str, value: object) -> None:
    device = parties.offer(transports=BOTH)
    with pytest.raises(MessageError) as caught:
        parties.opened(device, parties.hostile_answer(device.message, paths=[Raw(**{field: value})]))
    assert caught.value.code in ("msg.value", "msg.fields")
    assert device.state is DeviceState.STOPPED
    if value not in ("", None, 7, 443, 1):
        assert str(value) not in caught.value.message, "a refusal repeats nothing that it was sent"


@pytest.mark.parametrize(
    "change", [lambda said: said.pop("authority"), lambda said: said.update(endpoint="192.0.2.7:1")]
)
def test_exactly_its_own_keys(change: Callable[[dict[str, object]], object]) -> None:
    said = GOOD.to_json()
    change(said)
    with pytest.raises(MessageError) as caught:
        read_path(said, BOTH)
    assert caught.value.code == "msg.fields"


@given(st.binary(min_size=1, max_size=80), st.integers(0, len(AUTHORITY) - 1))
def test_p10_a_damaged_certificate_is_refused_or_taken_as_it_is(noise: bytes, at: int) -> None:
    """Whatever the parser thinks of it: one type of error, or the same bytes."""
    said = {**GOOD.to_json(), "authority": b64(AUTHORITY[:at] + noise + AUTHORITY[at + len(noise) :])}
    refused = None
    try:
        read = read_path(said, BOTH)
    except MessageError as error:
        refused = error
    assert (refused.code == "msg.value") if refused else (read.to_json() == said)


def test_the_join_key_is_shown_by_nothing(parties: Any) -> None:
    device = parties.offer(transports=BOTH)
    admin = parties.answer(device.message, paths=[GOOD])
    session = parties.opened(device, admin.message)
    seen = f"{GOOD!r} {GOOD} {admin.answer!r} {session.answer!r}"
    assert JOIN_KEY not in seen
    assert JOIN_KEY.encode() not in admin.message
    assert session.answer.paths[0].join_key.reveal() == JOIN_KEY
