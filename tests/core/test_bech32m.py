"""bech32m against the vectors of BIP350."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core.st1.bech32m import decode, encode, to_bytes, to_values

VALID = [
    "A1LQFN3A",
    "a1lqfn3a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    "?1v759aa",
]
INVALID = [
    "\x201xj0phk",
    "\x7f1g6xzxy",
    "\x801vctc34",
    "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
    "qyrz8wqd2c9m",
    "1qyrz8wqd2c9m",
    "y1b0jsk6g",
    "lt1igcx5c0",
    "in1muywd",
    "mm1crxm3i",
    "au1s5cgom",
    "M1VUXWEZ",
    "16plkw9",
    "1p2gdwpf",
    "A1lqfn3a",
]


@pytest.mark.parametrize("text", VALID)
def test_valid_vector(text: str) -> None:
    prefix, values = decode(text)
    assert encode(prefix, values) == text.lower()


@pytest.mark.parametrize("text", INVALID)
def test_invalid_vector(text: str) -> None:
    with pytest.raises(ValueError, match=r"length|character|checksum|case"):
        decode(text)


@given(st.binary(max_size=40))
def test_regrouping_round_trip(data: bytes) -> None:
    assert to_bytes(to_values(data)) == data


@pytest.mark.parametrize("values", [[1], [0], [0, 1], [31] * 7])
def test_leftover_bits_are_refused(values: list[int]) -> None:
    with pytest.raises(ValueError, match="padding"):
        to_bytes(values)
