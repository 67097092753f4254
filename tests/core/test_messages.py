"""The five messages: who has no code, replays, reflections, every byte: 05-threats tests 11 to 14, property P4."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core.errors import MessageError, SupportTunnelError, UsageError, WrongState
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import canonical, kem, schedule
from support_tunnel.core.st1.admin import AdminOffer, AdminSession
from support_tunnel.core.st1.control import Channel
from support_tunnel.core.st1.entropy import SYSTEM
from support_tunnel.core.st1.payloads import Answer
from support_tunnel.core.st1.seal import ANSWER, Header, seal
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
