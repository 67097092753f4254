"""Consent as a value, the policy file, and the owner's screen."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support_tunnel.core import ssh_key
from support_tunnel.core.consent import Asking, Consent, ConsentPolicy, by_owner, in_advance
from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1.people import Helper
from tests.core.test_headscale_path import GOOD
from tests.core.test_login_key import ED25519, P256, SK_P256


@pytest.fixture
def asking(parties: Any) -> Asking:
    device = parties.offer()
    session: Asking = parties.opened(device, parties.answer(device.message).message)
    session.confirm(parties.now)  # type: ignore[attr-defined]  # a DeviceSession; Asking is what the owner's side needs of it
    return session


def policy(signer: str, **changes: Any) -> ConsentPolicy:
    rule: dict[str, Any] = {"signer": signer, "scope": "shell", "max_ttl_minutes": 10, **changes}
    return ConsentPolicy.parse({"allow": [rule]})


def test_no_consent_before_the_digits(asking: Asking) -> None:
    with pytest.raises(WrongState) as caught:
        by_owner(asking)
    assert caught.value.code == "sas.missing"
    assert by_owner(asking, digits_skipped=True).how == "digits skipped"


def test_consent_says_to_whom_for_what_until_when(parties: Any) -> None:
    run = parties.connected()
    consent = by_owner(run.device)
    assert consent == Consent(
        parties.code.tunnel,
        "Ann Support",
        ssh_key.fingerprint(parties.signer.line),
        None,
        Scope("shell"),
        parties.now + timedelta(minutes=10),
        "typed",
    )


def test_policy_allows_exactly_its_rule(asking: Asking) -> None:
    mine = asking.signer.public_line
    allowed = policy(mine).decide(asking)
    assert allowed is not None
    assert (allowed.how, allowed.tunnel, allowed.until) == ("policy", asking.tunnel, asking.until)
    other = ssh_key.new_keypair()[1]
    for refusing in (policy(other), policy(mine, scope="view"), policy(mine, max_ttl_minutes=9), ConsentPolicy()):
        assert refusing.decide(asking) is None


def test_rules_do_not_add_up(parties: Any) -> None:
    device = parties.offer(scope=Scope("shell", (80, 443)))
    session = parties.opened(device, parties.answer(device.message, scope=Scope("shell", (80, 443))).message)
    session.confirm(parties.now)
    rule = {"signer": parties.signer.line, "scope": "shell", "max_ttl_minutes": 60}
    two = ConsentPolicy.parse({"allow": [{**rule, "ports": [80]}, {**rule, "ports": [443]}]})
    assert two.decide(session) is None
    assert ConsentPolicy.parse({"allow": [{**rule, "ports": [443, 80]}]}).decide(session) is not None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("allow_all = true", "policy.unknown"),
        ("allow = true", "policy.value"),
        ("allow = [1]", "policy.value"),
        ("[[allow]]\nsigner = 'KEY'\nscope = 'shell'\nmax_ttl_minutes = 10\ncommand = 'x'", "policy.unknown"),
        ("[[allow]]\nsigner = 'KEY'\nscope = 'shell'", "policy.missing"),
        ("[[allow]]\nsigner = 'KEY'\nscope = 'all'\nmax_ttl_minutes = 10", "policy.value"),
        ("[[allow]]\nsigner = 'KEY'\nscope = 'shell'\nmax_ttl_minutes = true", "policy.value"),
        ("[[allow]]\nsigner = 'KEY'\nscope = 'shell'\nmax_ttl_minutes = 1441", "policy.value"),
        ("[[allow]]\nsigner = '*'\nscope = 'shell'\nmax_ttl_minutes = 10", "policy.value"),
        ("[[allow]]\nsigner = 1\nscope = 'shell'\nmax_ttl_minutes = 10", "policy.value"),
        ("[[allow]]\nsigner = 'KEY'\nscope = 'shell'\nports = 22\nmax_ttl_minutes = 10", "policy.value"),
        ("[[allow]]\nsigner = 'KEY'\nscope = 'shell'\nports = [true]\nmax_ttl_minutes = 10", "policy.value"),
        ("[[allow]]\nsigner = 'KEY'\nscope = 'shell'\nhelpers = 'KEY'\nmax_ttl_minutes = 10", "policy.value"),
        ("[[allow]]\nsigner = 'KEY'\nscope = 'shell'\nhelpers = ['*']\nmax_ttl_minutes = 10", "policy.value"),
        ("[[allow]]\nsigner = 'KEY'\nscope = 'shell'\nhelpers = [1]\nmax_ttl_minutes = 10", "policy.value"),
    ],
)
def test_policy_files_that_are_refused(text: str, code: str) -> None:
    document = tomllib.loads(text.replace("KEY", ssh_key.new_keypair()[1]))
    with pytest.raises(UsageError) as caught:
        ConsentPolicy.parse(document)
    assert caught.value.code == code


def test_more_helpers_than_one(parties: Any) -> None:
    """A rule names each by their key, a yes in advance was to one, and a consent to others opens nothing."""
    bea, cem = Helper("Bea", ED25519), Helper("Cem", P256)
    device = parties.offer(transports=("headscale",))
    session = parties.opened(device, parties.answer(device.message, paths=[GOOD], helpers=[bea, cem]).message)
    session.confirm(parties.now)
    mine = session.signer.public_line
    for named, allowed in (([], False), ([bea.key], False), ([cem.key, bea.key], True)):
        assert (policy(mine, helpers=named).decide(session) is not None) is allowed
    assert in_advance(session, ()) is None
    consent = by_owner(session, digits_skipped=True)
    assert consent.helpers == (bea, cem)
    given = {"user": "st01234567", "until": session.until, "path": 0, "log_head": "0f" * 32}
    for others in ((), (bea,), (bea, replace(cem, key=SK_P256))):
        with pytest.raises(WrongState) as caught:
            session.ready(consent=replace(consent, helpers=others), **given)
        assert caught.value.code == "consent.other"
    assert session.ready(consent=consent, **given)


def test_consent_in_advance_is_to_what_was_offered_and_says_so(asking: Asking) -> None:
    consent = in_advance(asking, ())
    assert consent is not None
    assert (consent.how, consent.scope, consent.until) == ("in advance", asking.answer.scope, asking.until)


def test_consent_in_advance_is_to_those_it_was_given_to(asking: Asking) -> None:
    """A device that belonged to an organisation when its owner said yes, and does not any more."""
    assert in_advance(asking, None) is None
    assert in_advance(asking, ("Example Ltd",)) is None
    vouched = replace(asking.signer, organisation="Example Ltd")
    asking.signer = vouched  # type: ignore[misc]  # of a protocol; the session itself lets it be set
    assert in_advance(asking, ("Another", "Example Ltd")) is not None
    assert in_advance(asking, ("Another",)) is None
