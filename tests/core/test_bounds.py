"""Hostile text costs next to nothing, whatever its size (5, 20): memory and work are counted, no clock is asked."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from support_tunnel.core.errors import CodeError, MessageError
from support_tunnel.core.st1.admin import AdminOffer
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.entropy import SYSTEM
from support_tunnel.core.st1.seal import LONGEST_MESSAGE, OFFER, Header, seal

MEGABYTE = 1_000_000


def peak(work: Callable[[], object]) -> int:
    """The most bytes that were held at one moment because of `work`."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def steps(work: Callable[[], object]) -> int:
    """How many lines of Python and calls `work` took."""
    counted = 0

    def count(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal counted
        counted += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return counted


def refused(text: str) -> Callable[[], None]:
    def parse() -> None:
        with pytest.raises(CodeError):
            Code.parse(text)

    return parse


@pytest.mark.parametrize(
    "unit", ["st1q", "😀", "\u202e", "\x00", "q ", "apple ", "> \n", "\u200b", "\ufb03", "\ufdfa", "-", '"'], ids=ascii
)
def test_5_a_megabyte_is_refused_for_the_price_of_a_line(unit: str) -> None:
    megabyte = unit * (MEGABYTE // len(unit))
    Code.generate()  # what is loaded or compiled on first use
    refused("st1" + "q" * 59)()
    assert peak(refused(megabyte)) < 100_000
    assert steps(refused(megabyte)) < 2 * steps(refused("st1" + "q" * 59))


@pytest.mark.parametrize("length", [16_000, 1_000_000])
@pytest.mark.parametrize(
    "unit",
    ["[", '{"v":', '{"v":[', "0", "9", "a", "[1,", '"\\ud800', "NaN,", '{"\\u0041":'],
)
@pytest.mark.parametrize("start", ["", '{"v":1', '{"v":"'])
def test_20_a_hostile_message_costs_less_than_five_megabytes(parties: Any, start: str, unit: str, length: int) -> None:
    """Of somebody who has the code: as long as a message may be, and far longer (depth 10^5, 10^6 digits)."""
    text = (start + unit * length)[:length].encode()
    blob = seal(parties.code.prk.reveal(), Header(OFFER, parties.code.tunnel), text, SYSTEM)

    def read() -> None:
        with pytest.raises(MessageError) as caught:
            AdminOffer.open(parties.code, blob)
        assert caught.value.code == ("msg.json" if length < LONGEST_MESSAGE else "msg.auth")

    assert peak(read) < 5_000_000
