"""An offer that another process of the device takes up: the same keys, the same answer, and nothing after the first one."""

from __future__ import annotations

import json

import pytest

from support_tunnel.core.errors import MessageError, UsageError, WrongState
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.device import DeviceOffer
from support_tunnel.core.states import DeviceState
from tests.core.conftest import NOW, Parties


def test_another_process_reads_the_answer_to_a_kept_offer() -> None:
    parties = Parties()
    made = parties.offer()
    kept = DeviceOffer.load(made.dump())
    assert (kept.tunnel, kept.network, kept.message) == (parties.code.tunnel, parties.code.network, made.message)
    admin = parties.answer(made.message)
    session = kept.open_answer(admin.message, trust=parties.trust, now=NOW)
    assert session.digits_match(admin.read_confirm(session.confirm(NOW), NOW))
    assert session.psk == admin.psk


def test_an_answered_offer_cannot_be_kept() -> None:
    parties = Parties()
    made = parties.offer()
    made.open_answer(parties.answer(made.message).message, trust=parties.trust, now=NOW)
    assert made.state is DeviceState.ANSWERED
    with pytest.raises(WrongState):
        made.dump()


def test_a_look_at_an_answer_leaves_the_kept_offer_as_it_was() -> None:
    """What has not confirmed has revealed nothing: the next process may read the mailbox again."""
    parties = Parties()
    kept = parties.offer().dump()
    for _ in range(2):
        offer = DeviceOffer.load(kept)
        with pytest.raises(MessageError):
            offer.open_answer(b"ST", trust=parties.trust, now=NOW)
        answer = parties.answer(offer.message).message
        assert offer.open_answer(answer, trust=parties.trust, now=NOW).answer.name == "Ann Support"


@pytest.mark.parametrize("key", ["kem", "m1", "nonce", "prk"])
def test_a_damaged_one_is_refused_and_says_what_to_do(key: str) -> None:
    kept, other = (json.loads(Parties().offer().dump().reveal()) for _ in range(2))
    for damaged in ({**kept, key: other[key]}, {**kept, key: kept[key][:-4]}, {**kept, key: 1}, {**kept, "more": ""}):
        text = json.dumps(damaged, sort_keys=True, separators=(",", ":")).encode()
        with pytest.raises(UsageError) as refused:
            DeviceOffer.load(Secret(text))
        assert refused.value.code == "offer.dump"
        assert "ask again" in refused.value.next_step


def test_what_is_no_json_is_refused() -> None:
    whole = Parties().offer().dump().reveal()
    for text in (b"", b"{", whole[:-1], whole + b" "):
        with pytest.raises(UsageError) as refused:
            DeviceOffer.load(Secret(text))
        assert refused.value.code == "offer.dump"
