"""WireGuard and SSH keys: what they look like, and that the real tools agree."""

from __future__ import annotations

import base64
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core import ssh_key, wireguard_key
from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret


def test_wg_derives_the_same_public_key() -> None:
    private, public = wireguard_key.new_keypair()
    told = subprocess.run(
        ["wg", "pubkey"], input=private.reveal(), capture_output=True, text=True, timeout=20, check=True
    ).stdout
    assert told == public + "\n"
    assert wireguard_key.parse_public(public) == public


def test_private_keys_are_clamped_as_wg_genkey_does() -> None:
    raw = base64.b64decode(wireguard_key.new_keypair()[0].reveal())
    assert (raw[0] & 7, raw[31] & 0xC0) == (0, 0x40)


@given(st.text(max_size=60) | st.binary(min_size=32, max_size=32).map(lambda b: base64.b64encode(b).decode() + "\n"))
def test_anything_else_is_no_wireguard_key(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        wireguard_key.parse_public(text)
    assert caught.value.code == "key.wireguard"
    with pytest.raises(UsageError):
        wireguard_key.public_of(Secret(text))


@pytest.mark.parametrize("number", [0, 1, 2**255 - 19, 2**255 - 20])
def test_points_of_small_order_are_no_keys(number: int) -> None:
    with pytest.raises(UsageError):
        wireguard_key.parse_public(base64.b64encode(number.to_bytes(32, "little")).decode())


@given(st.text(max_size=120))
def test_anything_else_is_no_ssh_key(text: str) -> None:
    for line in (text, f"ssh-ed25519 {text}"):
        with pytest.raises(UsageError) as caught:
            ssh_key.fingerprint(line)
        assert caught.value.code == "key.ssh"


def test_comment_stays_in_the_private_key() -> None:
    private, public = ssh_key.new_keypair("ann at work")
    assert len(public.split()) == 2
    assert ssh_key.public_line(ssh_key.load_private(private).public_key()) == public


def test_base64_has_one_spelling() -> None:
    """The last character of a key carries bits that decoders ignore: another spelling would be another fingerprint on screen."""
    public = wireguard_key.new_keypair()[1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(public[42]) ^ 1]
    assert base64.b64decode(public[:42] + other + "=") == base64.b64decode(public)
    with pytest.raises(UsageError):
        wireguard_key.parse_public(public[:42] + other + "=")
