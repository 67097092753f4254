"""The five messages between two honest and some dishonest parties: 05-threats tests 11 to 22 and 24, properties P4 and P10."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support_tunnel.core.consent import by_owner
from support_tunnel.core.errors import ConsentRefused, MessageError, SupportTunnelError, UsageError, WrongState
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import canonical, fields, kem, schedule
from support_tunnel.core.st1.admin import AdminOffer, AdminSession
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.control import Channel
from support_tunnel.core.st1.entropy import SYSTEM
from support_tunnel.core.st1.payloads import Answer, Offer, Path
from support_tunnel.core.st1.seal import ANSWER, OFFER, Header, payload, seal, split, unseal
from support_tunnel.core.states import AdminState, DeviceState

HEAD = "ab" * 32


def code_of(caught: pytest.ExceptionInfo[SupportTunnelError]) -> str:
    return caught.value.code


def test_a_tunnel_from_offer_to_stopped(parties: Any) -> None:
    run = parties.connected()
    assert run.device.psk == run.admin.psk
    assert run.device.state is DeviceState.ACTIVE
    assert run.admin.state is AdminState.READY
    assert run.device.signer.organisation is None
    admin, device = run.admin.channel(), run.device.channel()
    assert device.receive(admin.send("stop", HEAD, now=parties.now)).kind == "stop"
    run.device.stop()
    heard = admin.receive(device.send("stopped", HEAD, now=parties.now))
    assert (heard.kind, heard.log_head, heard.time) == ("stopped", HEAD, parties.now)
    with pytest.raises(WrongState):
        _ = run.device.psk


def test_sizes_do_not_tell_names(make_parties: Any) -> None:
    sizes = set()
    for name in ("a", "a" * 60):
        parties = make_parties()
        device = parties.offer(name=name)
        sizes.add((len(device.message), len(parties.answer(device.message, name=name).message)))
    assert len(sizes) == 1
    run = make_parties().connected()
    assert (len(run.m3), len(run.m4)) == (356, 356)
    assert len(run.admin.channel().send("ping", HEAD, now=run.parties.now)) == 364


# --- who has no code ------------------------------------------------------------------------------------------------


def test_11_api_that_knows_the_kem_key_but_not_the_code(parties: Any, make_parties: Any) -> None:
    """The attacker has M1 and even the KEM public key in it, and puts its own server into an M2 of its own."""
    device = parties.offer()
    stranger = make_parties()
    forged_header = Header(ANSWER, parties.code.tunnel, schedule.sha256(device.message))
    agreed, ciphertext, ephemeral = kem.encapsulate(
        device.offer.kem, m1_hash=schedule.sha256(device.message), header=forged_header.pack(), entropy=SYSTEM
    )
    text = canonical.dumps(Answer("API", (), (), Scope("root"), 600, stranger.signer.line).to_json())
    key = schedule.session_key(stranger.code.prk.reveal(), agreed)
    forged = seal(key, forged_header, text, SYSTEM, also=ciphertext + ephemeral)
    with pytest.raises(MessageError) as caught:
        parties.opened(device, forged)
    assert code_of(caught) == "msg.auth"
    assert device.state is DeviceState.OFFERED
    assert parties.opened(device, parties.answer(device.message).message).state is DeviceState.ANSWERED


def test_11_another_codes_answer(parties: Any, make_parties: Any) -> None:
    device, other = parties.offer(), make_parties()
    with pytest.raises(MessageError) as caught:
        parties.opened(device, other.answer(other.offer().message).message)
    assert code_of(caught) == "msg.transcript"
    with pytest.raises(MessageError) as caught:
        AdminOffer.open(other.code, device.message)
    assert code_of(caught) == "msg.transcript"


# --- replay, reflection ---------------------------------------------------------------------------------------------


def test_12_replayed_second_and_foreign_answers(parties: Any) -> None:
    device = parties.offer()
    first, second = parties.answer(device.message), parties.answer(device.message)
    elsewhere = parties.answer(parties.offer().message)
    with pytest.raises(MessageError) as caught:
        parties.opened(device, elsewhere.message)
    assert code_of(caught) == "msg.transcript"
    session = parties.opened(device, first.message)
    for late in (first.message, second.message, elsewhere.message):
        with pytest.raises(MessageError) as caught:
            parties.opened(device, late)
        assert code_of(caught) == "answer.late"
    assert session.state is DeviceState.ANSWERED
    assert session.psk == first.psk


def test_12_one_offer_is_answered_once(parties: Any) -> None:
    offer = AdminOffer.open(parties.code, parties.offer().message)
    offer.answer(**parties.fields())
    with pytest.raises(WrongState):
        offer.answer(**parties.fields())


def test_14_slots_swapped_and_messages_reflected(parties: Any) -> None:
    run = parties.connected()
    admin, device = run.admin.channel(), run.device.channel()
    from_admin, from_device = (c.send("ping", HEAD, now=parties.now) for c in (admin, device))
    every = {"m1": run.m1, "m2": run.m2, "m3": run.m3, "m4": run.m4, "a": from_admin, "d": from_device}
    fresh = parties.offer()
    answered = parties.answer(fresh.message)
    confirmed = AdminSession.load(run.admin.dump())
    readers: dict[str, Callable[[bytes], object]] = {
        "m1": lambda blob: AdminOffer.open(parties.code, blob),
        "m2": lambda blob: parties.opened(fresh, blob),
        "m3": lambda blob: answered.read_confirm(blob, parties.now),
        "m4": lambda blob: confirmed.read_ready(blob),
        "a": device.receive,
        "d": admin.receive,
    }
    for slot, read in readers.items():
        for name, blob in every.items():
            if name != slot:
                with pytest.raises(MessageError) as caught:
                    read(blob)
                assert code_of(caught) == "msg.kind", (slot, name)
    assert fresh.state is DeviceState.OFFERED


def test_control_messages_do_not_repeat_and_do_not_go_back(parties: Any) -> None:
    run = parties.connected()
    admin, device = run.admin.channel(), run.device.channel()
    first, second = (admin.send("ping", HEAD, now=parties.now) for _ in range(2))
    assert device.receive(second).kind == "ping"
    for old in (second, first):
        with pytest.raises(MessageError) as caught:
            device.receive(old)
        assert code_of(caught) == "msg.replay"


def test_channel_goes_on_in_another_process(parties: Any) -> None:
    run = parties.connected()
    admin, device = run.admin.channel(), run.device.channel()
    saved = admin.dump()
    device.receive(admin.send("ping", HEAD, now=parties.now))
    # `stop` takes up a dump that is older than what the keeper sent since; its message must still count as new.
    later = Channel.load(saved).send("stop", HEAD, now=parties.now + timedelta(seconds=1))
    resumed = Channel.load(device.dump())
    assert resumed.receive(later).kind == "stop"
    with pytest.raises(MessageError):
        resumed.receive(later)


@pytest.mark.parametrize("broken", [b"", b"{}", b"[1", b"\xff"])
def test_damaged_dumps(broken: bytes) -> None:
    with pytest.raises(UsageError, match="damaged"):
        Channel.load(Secret(broken))
    with pytest.raises(UsageError, match="damaged"):
        AdminSession.load(Secret(broken))


# --- every byte -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(make_parties: Any) -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """Each message with a reader that would accept it, and that a refusal must leave able to."""
    parties = make_parties()
    run = parties.connected()
    fresh = parties.offer()
    answered = parties.answer(fresh.message)
    session = parties.opened(fresh, answered.message)
    waiting = parties.offer()
    control = run.admin.channel().send("ping", HEAD, now=parties.now)
    resumable = AdminSession.load(run.admin.dump())
    return {
        "m1": (run.m1, lambda blob: AdminOffer.open(parties.code, blob)),
        "m2": (parties.answer(waiting.message).message, lambda blob: parties.opened(waiting, blob)),
        "m3": (session.confirm(parties.now), lambda blob: answered.read_confirm(blob, parties.now)),
        "m4": (run.m4, resumable.read_ready),
        "m5": (control, run.device.channel().receive),
    }


@pytest.mark.parametrize("which", ["m1", "m2", "m3", "m4", "m5"])
def test_13_every_byte_changed_and_every_truncation(bench: Any, which: str) -> None:
    message, read = bench[which]
    broken = [message[:i] + bytes([message[i] ^ 1 << i % 8]) + message[i + 1 :] for i in range(len(message))]
    broken += [message[:length] for length in range(len(message))] + [message + b"\x00", message + message]
    for blob in broken:
        with pytest.raises(MessageError) as caught:
            read(blob)
        assert code_of(caught) in {"msg.auth", "msg.kind", "msg.transcript"}
    read(message)


@given(st.data())
def test_p4_any_mutation_and_any_garbage(bench: Any, data: st.DataObject) -> None:
    message, read = bench[data.draw(st.sampled_from(["m1", "m3", "m4", "m5"]))]
    at = data.draw(st.integers(0, len(message)))
    cut = data.draw(st.integers(at, len(message)))
    changed = message[:at] + data.draw(st.binary(max_size=64)) + message[cut:]
    garbage = data.draw(st.binary(max_size=600))
    for blob in (changed, garbage):
        if blob != message:
            with pytest.raises(MessageError) as caught:
                read(blob)
            assert code_of(caught) in {"msg.auth", "msg.kind", "msg.transcript"}


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
        parties.opened(device, parties.hostile_answer(device.message, paths=[Path(endpoint, parties.wireguard)]))
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
        parties.opened(device, parties.hostile_answer(device.message, paths=[Path("192.0.2.7:1", key)]))
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
        (lambda t: t.replace(b'"v":1', b'"v":2'), "msg.value"),
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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.data())
def test_p10_any_json_in_any_field(make_parties: Any, data: st.DataObject) -> None:
    parties = make_parties()
    found = content(parties) if data.draw(st.booleans()) else Answer("a", (), (), Scope("view"), 60, "x").to_json()
    reader = Offer.from_json if "kem" in found else Answer.from_json
    key = data.draw(st.sampled_from(sorted(found)))
    nested = found[key]
    if isinstance(nested, dict) and data.draw(st.booleans()):
        nested[data.draw(st.sampled_from(sorted(nested)))] = data.draw(JSON)
    else:
        found[key] = data.draw(JSON)
    raised = None
    try:
        text = canonical.dumps(found)
    except UnicodeEncodeError:
        return
    try:
        reader(payload(OFFER, text))
    except MessageError as error:
        raised = error
    assert raised is None or raised.code in {"msg.json", "msg.fields", "msg.value", "offer.kem"}


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


# --- digits ---------------------------------------------------------------------------------------------------------


def test_24_sixty_men_in_the_middle(make_parties: Any) -> None:
    """Somebody with the code sits in the API: answers the device itself, offers the admin a device of its own."""
    for _ in range(60):
        parties = make_parties()
        middle = make_parties(code=parties.code)
        device, fake_device = parties.offer(), middle.offer()
        admin = parties.answer(fake_device.message)
        towards_device = middle.answer(device.message)
        victim = parties.opened(device, towards_device.message)
        relayed = middle.opened(fake_device, admin.message)
        towards_device.read_confirm(victim.confirm(parties.now), parties.now)
        digits = admin.read_confirm(relayed.confirm(parties.now), parties.now)
        assert not victim.digits_match(digits)  # fails once in 16,000 runs by the protocol's own odds
        with pytest.raises(WrongState):
            by_owner(victim)


def test_24_second_answer_after_the_nonce_is_out(parties: Any) -> None:
    """The trap: with the nonce known, another answer could be ground to any digits in 2^20 tries. There is no other answer."""
    device = parties.offer()
    session = parties.opened(device, parties.answer(device.message).message)
    session.confirm(parties.now)
    for _ in range(3):
        with pytest.raises(MessageError) as caught:
            parties.opened(device, parties.hostile_answer(device.message))
        assert code_of(caught) == "answer.late"


def test_24_third_wrong_entry_is_final(parties: Any) -> None:
    device = parties.offer()
    admin = parties.answer(device.message)
    session = parties.opened(device, admin.message)
    digits = admin.read_confirm(session.confirm(parties.now), parties.now)
    wrong = f"{(int(digits) + 1) % 10**6:06d}"
    assert not session.digits_match(wrong)
    assert not session.digits_match("")
    with pytest.raises(ConsentRefused) as caught:
        session.digits_match(digits[:5])
    assert caught.value.code == "sas.wrong"
    assert session.state is DeviceState.STOPPED
    with pytest.raises(WrongState):
        session.digits_match(digits)


@pytest.mark.parametrize("form", ["{0}", "{1} {2}", " {1}-{2}\n", "{1}.{2}"])
def test_digits_as_people_type_them(parties: Any, form: str) -> None:
    device = parties.offer()
    admin = parties.answer(device.message)
    session = parties.opened(device, admin.message)
    digits = admin.read_confirm(session.confirm(parties.now), parties.now)
    assert session.digits_match(form.format(digits, digits[:3], digits[3:]))


def test_a_nonce_that_was_not_committed_to_ends_the_tunnel(parties: Any) -> None:
    device = parties.offer()
    admin = parties.answer(device.message)
    session = parties.opened(device, admin.message)
    session._nonce = bytes(32)
    with pytest.raises(MessageError) as caught:
        admin.read_confirm(session.confirm(parties.now), parties.now)
    assert code_of(caught) == "sas.commitment"
    assert admin.state is AdminState.STOPPED


# --- clocks, resumption, secrecy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [-2, 2])
def test_a_clock_far_off_needs_a_word(parties: Any, days: int) -> None:
    device = parties.offer()
    admin = parties.answer(device.message)
    m3 = parties.opened(device, admin.message).confirm(parties.now)
    here = parties.now - timedelta(days=days)
    with pytest.raises(MessageError) as caught:
        admin.read_confirm(m3, here)
    assert code_of(caught) == "device.clock"
    admin.read_confirm(m3, here, allow_skew=True)
    assert admin.device_offset == timedelta(days=days)


def test_admin_resumes_with_the_identical_bytes_at_every_step(parties: Any) -> None:
    device = parties.offer()
    admin = parties.answer(device.message)
    session = parties.opened(device, admin.message)
    m3 = session.confirm(parties.now)
    for _ in range(2):
        resumed = AdminSession.load(admin.dump())
        assert (resumed.message, resumed.offer, resumed.answer) == (admin.message, admin.offer, admin.answer)
        assert resumed.psk == session.psk
        assert session.digits_match(resumed.read_confirm(m3, parties.now))
        assert AdminSession.load(resumed.dump()).state is AdminState.CONFIRMED
    assert session.confirm(parties.now + timedelta(seconds=9)) == m3


def test_nothing_saved_or_shown_holds_the_code(parties: Any) -> None:
    run = parties.connected()
    saved = run.admin.dump().reveal() + run.admin.channel().dump().reveal()
    prk, text = parties.code.prk.reveal(), parties.code.text().reveal()
    for secret in (text.encode(), prk, prk.hex().encode(), fields.encoded(prk).encode()):
        assert secret not in saved
    shown = "".join(
        map(repr, (run.device, run.admin, run.device_offer, parties.code, run.device.psk, run.device.psk_base64))
    )
    assert text not in shown
    assert fields.encoded(run.device.psk.reveal()) not in shown


def test_ready_needs_consent_to_exactly_this(parties: Any) -> None:
    device = parties.offer()
    admin = parties.answer(device.message)
    session = parties.opened(device, admin.message)
    admin.read_confirm(session.confirm(parties.now), parties.now)
    consent = by_owner(session, digits_skipped=True)
    given: dict[str, Any] = {"user": "st0", "until": session.until, "path": 0, "log_head": HEAD}
    for other in (
        replace(consent, scope=Scope("root")),
        replace(consent, fingerprint="SHA256:x"),
        replace(consent, name="Eve"),
    ):
        with pytest.raises(WrongState, match="something else"):
            session.ready(consent=other, **given)
    with pytest.raises(WrongState, match="longer"):
        session.ready(consent=consent, **{**given, "until": session.until + timedelta(seconds=1)})
    with pytest.raises(WrongState, match="path"):
        session.ready(consent=consent, **{**given, "path": 1})
    assert session.state is DeviceState.ANSWERED
    admin.read_ready(session.ready(consent=consent, **given))


def test_a_device_that_claims_a_later_end(parties: Any) -> None:
    device = parties.offer()
    admin = parties.answer(device.message)
    session = parties.opened(device, admin.message)
    admin.read_confirm(session.confirm(parties.now), parties.now)
    session.answer = replace(session.answer, ttl=3600)
    consent = by_owner(session, digits_skipped=True)
    m4 = session.ready(consent=consent, user="st0", until=session.until, path=0, log_head=HEAD)
    with pytest.raises(MessageError) as caught:
        admin.read_ready(m4)
    assert code_of(caught) == "ttl.exceeds"


def test_api_sees_no_field_in_clear(parties: Any) -> None:
    run = parties.connected()
    control = run.admin.channel().send("ping", HEAD, now=parties.now)
    for message in (run.m1, run.m2, run.m3, run.m4, control):
        for text in (
            b"kiosk-7",
            b"Ann",
            parties.host_key.encode(),
            parties.wireguard.encode(),
            b"192.0.2.7",
            b"st01234567",
        ):
            assert text not in message


def test_same_plaintext_never_seals_the_same(parties: Any) -> None:
    header = Header(OFFER, parties.code.tunnel)
    one, two = (seal(parties.code.prk.reveal(), header, b"{}", SYSTEM) for _ in range(2))
    assert one[20:] != two[20:]
    found, rest = split(one, header)
    assert json.loads(unseal(parties.code.prk.reveal(), found, rest)) == {}
    with pytest.raises(MessageError):
        unseal(Code.generate().prk.reveal(), found, rest)
