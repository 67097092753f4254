"""The support code: 05-threats tests 1 to 6 and 10, properties P1 to P3 and P14."""

from __future__ import annotations

import base64
import ipaddress
import re
import secrets
import unicodedata
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core.addressing import device_address, server_address
from support_tunnel.core.errors import CodeError
from support_tunnel.core.names import Names, TunnelId, parse_tunnel_id
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.bech32m import ALPHABET, encode
from support_tunnel.core.st1.code import CODE_LENGTH, Code

CODES = st.binary(min_size=32, max_size=32).map(lambda seed: Code(Secret(seed)))
DATA = range(3, CODE_LENGTH)


def refused(text: str) -> CodeError:
    with pytest.raises(CodeError) as caught:
        Code.parse(text)
    assert_silent(caught.value, text)
    return caught.value


def assert_silent(error: CodeError, text: str) -> None:
    """Test 10: no 8 characters of what was typed, in whatever case, with or without the spaces."""
    said = (error.message + error.next_step).lower()
    compact = "".join(text.lower().split())
    for typed in (text.lower(), compact):
        pieces = {typed[i : i + 8] for i in range(min(len(typed), 4000) - 7)}
        assert not [piece for piece in pieces if piece.strip() and piece in said]


def replaced(text: str, changes: dict[int, str]) -> str:
    return "".join(changes.get(i, c) for i, c in enumerate(text))


@given(CODES)
def test_p1_round_trip(code: Code) -> None:
    text = code.text().reveal()
    assert len(text) == CODE_LENGTH
    assert text.startswith("st1q")
    for form in (text, code.grouped().reveal(), text.upper()):
        read = Code.parse(form)
        assert (read.tunnel, read.claim, read.network) == (code.tunnel, code.claim, code.network)


NOISE = ["\u200b", "\u200d", "\ufeff", "\u00ad", " ", "\n", "\t", "-", "–", "—", "\u00a0", "\r\n> "]


@given(CODES, st.lists(st.tuples(st.integers(0, CODE_LENGTH), st.sampled_from(NOISE)), max_size=12))
def test_3_and_p1_what_mail_and_chat_put_between(code: Code, noise: list[tuple[int, str]]) -> None:
    text = code.text().reveal()
    for position, sign in sorted(noise, reverse=True):
        text = text[:position] + sign + text[position:]
    assert Code.parse(text).tunnel == code.tunnel


@pytest.mark.parametrize(
    "around",
    ["{}", "\ufeff{}\n", '"{}"', "`{}`", "“{}”", "«{}»", "{}.", "'{}'.", "> {}", "> > {}\r\n", "  {}\t", "‘{}’"],
)
def test_3_surroundings_and_wide_forms(around: str) -> None:
    code = Code.generate()
    grouped = code.grouped().reveal()
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in grouped.upper())
    assert unicodedata.normalize("NFKC", wide) == grouped.upper()
    for text in (grouped, grouped.upper(), wide, grouped.replace(" ", "\n> ")):
        assert Code.parse(around.format(text)).tunnel == code.tunnel


@given(CODES, st.dictionaries(st.sampled_from(DATA), st.sampled_from(ALPHABET), min_size=1, max_size=4))
def test_1_and_p2_up_to_four_substitutions_are_caught(code: Code, changes: dict[int, str]) -> None:
    text = code.text().reveal()
    wrong = replaced(text, changes)
    if wrong != text:
        assert refused(wrong).code == "code.checksum"


@given(CODES, st.sampled_from(DATA))
def test_2_swapped_dropped_doubled(code: Code, at: int) -> None:
    text = code.text().reveal()
    if at + 1 < CODE_LENGTH and text[at] != text[at + 1]:
        assert refused(text[:at] + text[at + 1] + text[at] + text[at + 2 :]).code == "code.checksum"
    dropped = refused(text[:at] + text[at + 1 :])
    assert (dropped.code, "61 characters" in dropped.message) == ("code.length", True)
    doubled = refused(text[: at + 1] + text[at:])
    assert (doubled.code, "63 characters" in doubled.message) == ("code.length", True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        base64.b64encode(secrets.token_bytes(32)).decode(),
        str(uuid.uuid4()),
        "https://support.example.org/t/st1",
        "eyJhbGciOiJIUzI1NiJ9." + base64.urlsafe_b64encode(secrets.token_bytes(200)).decode() + ".c2ln",
    ],
    ids=["empty", "wireguard", "uuid", "url", "jwt"],
)
def test_4_other_things_people_paste(text: str) -> None:
    error = refused(text)
    assert (error.code, error.message) == ("code.prefix", "a support code starts with st1, or is 13 words")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("st1" + "q" * 1_000_000, "code.toolong"),
        ("\u202e" * 1_000_000, "code.toolong"),
        ("😀" * 30, "code.char"),
        ("st1q" + "😀" * 58, "code.char"),
        ("\u202est1q" + "q" * 58, "code.char"),
        ("st1q" + "\x00" * 58, "code.char"),
        ("st1b" + "q" * 58, "code.char"),
    ],
    ids=["long", "long-rtl", "emoji", "emoji-inside", "rtl", "nul", "never-used"],
)
def test_5_hostile_text(text: str, code: str) -> None:
    assert refused(text).code == code


@given(st.integers(1, 31), st.integers(20, 80))
def test_6_newer_kind_of_any_length(kind: int, length: int) -> None:
    newer = encode("st", [kind, *[secrets.randbelow(32) for _ in range(length - 1)]])
    error = refused(newer)
    assert (error.code, "newer version" in error.message) == ("code.kind", True)


def test_bits_left_over_must_be_zero() -> None:
    assert refused(encode("st", [0, *[1] * 52])).code == "code.checksum"


@given(st.text(max_size=3000) | st.text(alphabet=ALPHABET + "st1 ", max_size=90).map(lambda t: "st1" + t))
def test_p3_any_text_is_a_code_or_one_typed_error(text: str) -> None:
    error = None
    try:
        Code.parse(text)
    except CodeError as raised:
        error = raised
    assert error is None or re.fullmatch(r"code\.(toolong|prefix|char|length|checksum|kind)|words\.unknown", error.code)
    assert error is None or error.next_step


def test_code_does_not_show_itself() -> None:
    code = Code.generate()
    text = code.text().reveal()
    assert text[3:] not in repr(code) + str(code) + f"{code}" + repr(code.text()) + repr(code.grouped())


@given(st.binary(min_size=16, max_size=16) | st.sampled_from([bytes(16), b"\xff" * 16, b"\x00" * 8 + b"\xff" * 8]))
def test_p14_names_fit_their_namespaces(tid: bytes) -> None:
    """Whatever the id; also one of digits only, which `useradd`, `ip` and `nft` would read as a number."""
    tunnel = TunnelId(tid.hex())
    names = Names(tunnel)
    assert parse_tunnel_id(tunnel) == tunnel
    assert len(names.interface) <= 15  # IFNAMSIZ - 1
    assert re.fullmatch(r"[a-z][a-z0-9-]*", names.interface)  # dev_valid_name(); and nft's identifier, of its table
    assert re.fullmatch(r"[a-z][a-z0-9]{0,31}", names.user)  # NAME_REGEX of adduser(8)
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])", names.server)  # a label of RFC 1123
    units = (names.session_unit, names.tunnel_unit, names.keeper_unit)
    for unit in units:
        assert re.fullmatch(r"[a-z0-9-]+\.service", unit)
        assert len(unit) < 256  # systemd.unit(5)
    assert len(set(units)) == 3


@given(CODES)
def test_p14_addresses_fit_their_network(code: Code) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", code.tunnel)
    assert code.network.prefixlen == 64
    assert code.network.subnet_of(ipaddress.IPv6Network("fd00::/8"))
    assert server_address(code.network) == code.network[1]
    assert device_address(code.network) == code.network[2]


def test_two_codes_share_nothing() -> None:
    one, two = Code.generate(), Code.generate()
    assert one.tunnel != two.tunnel
    assert one.network != two.network
    assert one.claim != two.claim
    assert TunnelId(one.claim.reveal().hex()) != one.tunnel
