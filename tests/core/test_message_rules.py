"""Whoever has the code and breaks the rules, and devices without ML-KEM: 05-threats tests 16 to 22."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support_tunnel.core.errors import MessageError, SupportTunnelError, UsageError
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1 import canonical, fields
from support_tunnel.core.st1.admin import AdminOffer
from support_tunnel.core.st1.entropy import SYSTEM
from support_tunnel.core.st1.payloads import WireguardPath
from support_tunnel.core.st1.seal import OFFER, Header, seal
from support_tunnel.core.states import DeviceState


def code_of(caught: pytest.ExceptionInfo[SupportTunnelError]) -> str:
    return caught.value.code


# --- who has the code and breaks the rules --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"scope": Scope("root")}, "scope.exceeds"),
        ({"scope": Scope("shell", (22,))}, "scope.exceeds"),
        ({"scope": Scope("view", files=True)}, "scope.exceeds"),
        ({"ttl": 3601}, "ttl.exceeds"),
    ],
)
def test_16_more_than_was_offered_ends_the_tunnel(parties: Any, changes: dict[str, Any], code: str) -> None:
    device = parties.offer()
    with pytest.raises(UsageError) as own_tool:
        parties.answer(device.message, **changes)
    assert own_tool.value.code == code
    with pytest.raises(MessageError) as caught:
        parties.opened(device, parties.hostile_answer(device.message, **changes))
    assert code_of(caught) == code
    assert device.state is DeviceState.STOPPED
    with pytest.raises(MessageError) as caught:
        parties.opened(device, parties.answer(device.message).message)
    assert code_of(caught) == "answer.late"


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZBkfWebWr1LgbFtedj9EBAbZtpmttdf0Yz2EOMh9iU"
RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDZ"


@pytest.mark.parametrize(
    "endpoint",
    [
        "vpn.example.org:51820", "192.0.2.7:0", "192.0.2.7:70000", "192.0.2.7:51820\nPostUp = id", "224.0.0.1:51820",
        "[ff02::1]:51820", "169.254.169.254:80", "[fe80::1]:51820", "[fe80::1%eth0]:51820", "0.0.0.0:51820", "[::]:51820",
        "255.255.255.255:51820", "192.0.2.7", "192.0.2.7:051820", "192.0.2.07:51820", "[2001:DB8::1]:51820",
        "[2001:db8:0::1]:51820", "[192.0.2.7]:51820", "2001:db8::1:51820", "[::ffff:169.254.169.254]:80", "192.0.2.7:٥١٨٢٠", "",
    ],
)  # fmt: skip
def test_17_endpoints(parties: Any, endpoint: str) -> None:
    device = parties.offer()
    with pytest.raises(MessageError) as caught:
        parties.opened(
            device, parties.hostile_answer(device.message, paths=[WireguardPath(endpoint, parties.wireguard)])
        )
    assert code_of(caught) == "msg.value"
    assert "paths.endpoint" in caught.value.message


@pytest.mark.parametrize("endpoint", ["192.0.2.7:1", "10.1.2.3:51820", "[2001:db8::7]:65535", "[fd00::1]:51820"])
def test_17_endpoints_of_hosts_are_accepted(endpoint: str) -> None:
    assert fields.endpoint(endpoint, "endpoint") == endpoint


@pytest.mark.parametrize(
    "line",
    [
        KEY + "\n", "\n" + KEY, KEY + "\n" + KEY, f'command="id" {KEY}', f"restrict,pty {KEY}", KEY + " ann@laptop", RSA, KEY[:-4],
        KEY.replace("ssh-ed25519", "ecdsa-sha2-nistp256"), KEY.replace(" ", "  "), KEY + '"', KEY[:-1] + "=", "",
    ],
)  # fmt: skip
def test_18_keys_that_are_not_one_plain_line(parties: Any, line: str) -> None:
    device = parties.offer()
    with pytest.raises(MessageError) as caught:
        parties.opened(device, parties.hostile_answer(device.message, ssh_keys=[line]))
    assert code_of(caught) == "msg.value"
    with pytest.raises(UsageError):
        parties.offer(ssh_host_key=line)


@pytest.mark.parametrize(
    "name",
    ["\x1b[2J", "ann\u202etxt", "a" * 65, "$(id)", "", " ann", "ann\n", 'a"b', "a'b", "a\\b", "a\x00", "Аnn", "ann "],
)
def test_19_names_that_are_not_printable_text(parties: Any, name: str) -> None:
    device = parties.offer()
    with pytest.raises(MessageError) as caught:
        parties.opened(device, parties.hostile_answer(device.message, name=name))
    assert code_of(caught) == "msg.value"
    assert "name" in caught.value.message
    assert not name.strip() or name not in caught.value.message
    with pytest.raises(UsageError):
        parties.offer(name=name)


@pytest.mark.parametrize("name", ["A", "Jürgen Müller", "kiosk-7.example+2", "ann_b", "Łódź 3", "a@b", "a" * 64])
def test_19_names_of_people(parties: Any, name: str) -> None:
    device = parties.offer()
    assert parties.opened(device, parties.answer(device.message, name=name).message).answer.name == name


@pytest.mark.parametrize(
    "key", ["A" * 43 + "=", "x" * 44, "", "A" * 42 + "==", "A" * 43 + "=\nPostUp = id", "_" * 43 + "="]
)
def test_wireguard_keys_that_are_none(parties: Any, key: str) -> None:
    device = parties.offer()
    with pytest.raises(MessageError) as caught:
        parties.opened(device, parties.hostile_answer(device.message, paths=[WireguardPath("192.0.2.7:1", key)]))
    assert (code_of(caught), "paths.wireguard" in caught.value.message) == ("msg.value", True)


def offer_with(parties: Any, text: bytes) -> bytes:
    return seal(parties.code.prk.reveal(), Header(OFFER, parties.code.tunnel), text, SYSTEM)


def content(parties: Any) -> dict[str, Any]:
    found: dict[str, Any] = parties.offer().offer.to_json()
    return found


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda t: t.replace(b'"v":1', b'"v":1,"v":1'), "msg.json"),
        (lambda t: t.replace(b'"v":1', b'"v":NaN'), "msg.json"),
        (lambda t: t.replace(b'"v":1', b'"v":1.0'), "msg.json"),
        (lambda t: t.replace(b'"v":1', b'"v":1e0'), "msg.json"),
        (lambda t: t.replace(b'"v":1', b'"v":1' + b"0" * 400), "msg.json"),
        (lambda t: t.replace(b'"v":1', b'"v": 1'), "msg.json"),
        (lambda t: b"[" * 10_000 + b"]" * 5_000, "msg.json"),
        (lambda t: t[:-1], "msg.json"),
        (lambda t: t.replace(b"kiosk-7", b"\\u006biosk-7"), "msg.json"),
        (lambda t: t.replace(b"kiosk-7", b"\\ud800"), "msg.json"),
        (lambda t: t.replace(b"kiosk-7", b"\xff"), "msg.json"),
        (lambda t: t + b" " * 2304, "msg.json"),
        (lambda t: b"", "msg.json"),
        (lambda t: t.replace(b'"v":1', b'"v":true'), "msg.value"),
        (lambda t: t.replace(b'"v":1', b'"v":3'), "msg.version"),
        (lambda t: t.replace(b'"v":1', b'"v":0'), "msg.value"),
        (lambda t: t.replace(b'"v":1', b'"v":1000'), "msg.value"),
        (lambda t: t.replace(b'"v":1', b'"v":"1"'), "msg.value"),
        (lambda t: t.replace(b'"v":1', b'"v":null'), "msg.value"),
        (lambda t: t.replace(b'"v":1,', b'"v":1,"w":1,'), "msg.fields"),
        (lambda t: t.replace(b'"max_ttl":3600,', b""), "msg.fields"),
        (lambda t: t.replace(b'"max_ttl":3600', b'"max_ttl":true'), "msg.value"),
        (lambda t: t.replace(b'"max_ttl":3600', b'"max_ttl":86401'), "msg.value"),
        (lambda t: t.replace(b"[8080]", b"[true]"), "msg.value"),
        (lambda t: t.replace(b"[8080]", b"[80,22]"), "msg.value"),
        (lambda t: t.replace(b"[8080]", b"[[]]"), "msg.value"),
        (lambda t: t.replace(b'"level":"shell"', b'"level":["shell"]'), "msg.value"),
        (lambda t: t.replace(b'["wireguard"]', b'["headscale"]'), "msg.value"),
        (lambda t: t.replace(b'["wireguard"]', b"[]"), "msg.value"),
        (lambda t: b"[]", "msg.value"),
        (lambda t: b"null", "msg.value"),
    ],
)  # fmt: skip
def test_20_json_that_is_not_ours(parties: Any, change: Callable[[bytes], bytes], code: str) -> None:
    text = canonical.dumps(content(parties))
    assert AdminOffer.open(parties.code, offer_with(parties, text)).offer.name == "kiosk-7"
    assert change(text) != text
    with pytest.raises(MessageError) as caught:
        AdminOffer.open(parties.code, offer_with(parties, change(text)))
    assert code_of(caught) == code


KYBER, CURVE = 1184, 32


@pytest.mark.parametrize(
    ("key", "raw", "code"),
    [
        ("mlkem768", b"\xff" * KYBER, "offer.kem"),
        ("mlkem768", bytes(KYBER), "offer.kem"),
        ("mlkem768", bytes(KYBER - 1), "msg.value"),
        ("x25519", bytes(CURVE), "offer.kem"),
        ("x25519", b"\x01" + bytes(CURVE - 1), "offer.kem"),
        ("x25519", bytes(CURVE - 1), "msg.value"),
    ],
)
def test_21_useless_kem_keys(parties: Any, key: str, raw: bytes, code: str) -> None:
    found = content(parties)
    found["kem"][key] = fields.encoded(raw)
    with pytest.raises(MessageError) as caught:
        AdminOffer.open(parties.code, offer_with(parties, canonical.dumps(found)))
    assert code_of(caught) == code


@pytest.mark.parametrize("ephemeral", [bytes(32), b"\x01" + bytes(31)])
def test_21_zero_x25519_of_the_answer(parties: Any, ephemeral: bytes) -> None:
    device = parties.offer()
    m2 = parties.answer(device.message).message
    with pytest.raises(MessageError) as caught:
        parties.opened(device, m2[: 52 + 1088] + ephemeral + m2[52 + 1088 + 32 :])
    assert code_of(caught) == "msg.auth"
    assert device.state is DeviceState.OFFERED


# --- no ML-KEM ------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_mlkem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own probe answers as on a cryptography built against an OpenSSL before 3.5."""
    for module in ("kem", "device"):
        monkeypatch.setattr(f"support_tunnel.core.st1.{module}.mlkem_available", lambda: False)


@pytest.mark.usefixtures("without_mlkem")
def test_22_no_silent_downgrade(parties: Any) -> None:
    with pytest.raises(UsageError) as caught:
        parties.offer()
    assert (caught.value.code, "--allow-classical" in caught.value.next_step) == ("crypto.mlkem", True)
    m1 = parties.offer(allow_classical=True).message
    with pytest.raises(UsageError) as caught:
        AdminOffer.open(parties.code, m1)
    assert caught.value.code == "crypto.mlkem"


def test_22_classical_only_when_both_say_so(parties: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("support_tunnel.core.st1.device.mlkem_available", lambda: False)
        device = parties.offer(allow_classical=True)
    with pytest.raises(MessageError) as caught:
        AdminOffer.open(parties.code, device.message)
    assert code_of(caught) == "offer.classical"
    admin = AdminOffer.open(parties.code, device.message, allow_classical=True).answer(**parties.fields())
    assert parties.opened(device, admin.message).psk == admin.psk


def test_22_allowing_classical_does_not_choose_it(parties: Any) -> None:
    assert parties.offer(allow_classical=True).offer.suite == "mlkem768-x25519"
