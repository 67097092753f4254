"""The lists that root keeps of organisations and of revoked keys: read whole, or refused with the line that is wrong."""

from __future__ import annotations

import itertools

import pytest

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import UsageError
from support_tunnel.core.organisations import parse_organisations, parse_principal, parse_revoked
from support_tunnel.core.st1.signer import Organisation, Trust

ONE, TWO, THREE = (ssh_key.new_keypair()[1] for _ in range(3))


def refusal(text: str) -> UsageError:
    with pytest.raises(UsageError) as refused:
        parse_organisations(text, where="org-ca.pub")
    return refused.value


def test_each_line_is_a_key_with_its_organisation_and_two_of_one_name_are_a_rotation() -> None:
    text = f"# who may help\n\n{ONE} Example Ltd\n  {TWO}   Other Makers GmbH\n{THREE} Example Ltd\r\n"
    assert parse_organisations(text, where="x") == (
        Organisation("Example Ltd", (ONE, THREE)),
        Organisation("Other Makers GmbH", (TWO,)),
    )


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("", "trust.empty", "names no organisation"),
        ("# nobody yet\n\n", "trust.empty", "names no organisation"),
        (ONE, "trust.name", "line 1"),
        (f"# first\n{ONE} \x1b[2JExample", "trust.name", "line 2"),
        (f"{ONE} Example \u202eLtd", "trust.name", "line 1"),
        (f"{ONE} Example Ltd\n{TWO} Other\n{ONE} Other", "trust.twice", "line 3"),
        (f"{ONE} Example Ltd\n{ONE} Example Ltd", "trust.twice", "line 2"),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDZ Example Ltd", "trust.key", "line 1"),
        ("ecdsa-sha2-nistp256 AAAA Example Ltd", "trust.key", "line 1"),
        (f"cert-authority {ONE} Example Ltd", "trust.key", "line 1"),
        (f'restrict,principals="x" {ONE} Example Ltd', "trust.key", "line 1"),
        (f"{ONE[:-4]} Example Ltd", "trust.key", "line 1"),
        (f"{ONE} Example Ltd\ngarbage", "trust.key", "line 2"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "trust.key", "line 1"),
    ],
    ids=itertools.count(),
)
def test_a_list_that_is_wrong_anywhere_is_refused(text: str, code: str, named: str) -> None:
    refused = refusal(text)
    assert refused.code == code
    assert "org-ca.pub" in refused.message
    assert named in refused.message
    assert "\x1b" not in refused.message


def test_revoked_keys_are_fingerprints_or_keys() -> None:
    first, second, third = (ssh_key.fingerprint(key) for key in (ONE, TWO, THREE))
    text = f"# left in May\n{first}\n256 {second} ada@example (ED25519)\n{THREE} ann\n{first}\n"
    assert parse_revoked(text, where="revoked") == {first, second, third}
    assert parse_revoked("", where="revoked") == frozenset()


@pytest.mark.parametrize(
    "line",
    [
        "SHA256:short",
        "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
        "256",
        "ada@example",
        "ssh-rsa AAAAB3NzaC1yc2E",
        "serial: 7",
        ONE[:-4],
    ],
    ids=str.split("short md5 word mail rsa serial cut"),
)
def test_a_revoked_key_that_is_not_understood_refuses_the_list(line: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_revoked(f"{ssh_key.fingerprint(ONE)}\n{line}\n", where="revoked")
    assert refused.value.code == "trust.revoked"
    assert "revoked, line 2" in refused.value.message


@pytest.mark.parametrize("text", ["", "a b", "a,b", "ä", "x" * 65, "-x", 'a"', "a\n"])
def test_a_principal_is_one_plain_word(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_principal(text, where="device/org-principal")
    assert refused.value.code == "trust.principal"


def test_logins_are_certified_by_the_organisation_that_vouched_and_by_no_revoked_key() -> None:
    trust = Trust((Organisation("Example Ltd", (ONE, TWO)), Organisation("Other", (THREE,))))
    assert trust.authorities("Example Ltd") == (ONE, TWO)
    assert trust.authorities("Other") == (THREE,)
    assert trust.authorities("Nobody") == ()
    rotated = Trust(trust.organisations, frozenset({ssh_key.fingerprint(ONE)}))
    assert rotated.authorities("Example Ltd") == (TWO,)
