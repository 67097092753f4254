"""The owner's yes as a value: a flow that opens access takes a Consent, so code without one does not type-check.

A Consent comes from a person who typed the digits (or, saying so, skipped them), who approved in advance of whoever has the
code, or from a rule in the policy file that root wrote on the device. There is no blanket yes, and no is what happens otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol, cast

from support_tunnel.core import login_key, ssh_key
from support_tunnel.core.errors import ConsentRefused, UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.scope import Level, Scope
from support_tunnel.core.st1.payloads import Answer
from support_tunnel.core.st1.people import Helper
from support_tunnel.core.st1.signer import SignerIdentity

__all__ = ["Asking", "Consent", "ConsentPolicy", "PolicyRule", "by_owner", "in_advance", "stopped_meanwhile"]

How = Literal["typed", "digits skipped", "in advance", "policy"]


class Asking(Protocol):
    """An answer that opened and waits for the owner; `st1.device.DeviceSession` is one."""

    @property
    def tunnel(self) -> TunnelId: ...

    @property
    def answer(self) -> Answer: ...

    @property
    def signer(self) -> SignerIdentity: ...

    @property
    def until(self) -> datetime: ...

    @property
    def digits_matched(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Consent:
    """What exactly was agreed to."""

    tunnel: TunnelId
    name: str
    fingerprint: str
    organisation: str | None
    scope: Scope
    until: datetime
    how: How
    helpers: tuple[Helper, ...] = ()
    """Who may log in besides them."""


def by_owner(asking: Asking, *, digits_skipped: bool = False) -> Consent:
    """Record the owner's yes. Raises WrongState `sas.missing` unless the digits matched or skipping them was chosen."""
    if not asking.digits_matched and not digits_skipped:
        raise WrongState("sas.missing", "the six digits have not been typed yet")
    return _consent(asking, "typed" if asking.digits_matched else "digits skipped")


def in_advance(asking: Asking, approved_for: Sequence[str] | None) -> Consent | None:
    """The yes of an owner who gave it when they asked: to helpers of these organisations, or to anybody when there are none.

    What is granted is still within the offer. None when they gave it to nobody, or to others, and where more helpers come than the
    one who answers: whoever says yes beforehand was told of one.
    """
    if approved_for is None or (approved_for and asking.signer.organisation not in approved_for):
        return None
    if asking.answer.helpers:
        return None
    return _consent(asking, "in advance")


def _consent(asking: Asking, how: How) -> Consent:
    signer, answer = asking.signer, asking.answer
    return Consent(
        asking.tunnel,
        answer.name,
        signer.fingerprint,
        signer.organisation,
        answer.scope,
        asking.until,
        how,
        answer.helpers,
    )


def stopped_meanwhile() -> ConsentRefused:
    """For whoever asks an owner while somebody stops the request."""
    return ConsentRefused("consent.stopped", "this request was stopped while you were asked", next_step="Ask again.")


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One signer key, the most it may get, for how long at most, and whose keys it may let in besides."""

    signer: str
    scope: Scope
    max_ttl_minutes: int
    helpers: frozenset[str] = frozenset()

    def allows(self, asking: Asking) -> bool:
        return (
            asking.signer.public_line == self.signer
            and asking.answer.scope.within(self.scope)
            and asking.answer.ttl <= self.max_ttl_minutes * 60
            and {helper.key for helper in asking.answer.helpers} <= self.helpers
        )


_RULE_KEYS: Final = frozenset({"signer", "scope", "ports", "files", "max_ttl_minutes", "helpers"})
_RULE_REQUIRED: Final = frozenset({"signer", "scope", "max_ttl_minutes"})


@dataclass(frozen=True, slots=True)
class ConsentPolicy:
    """Rules of the root-owned policy file, for rehearsals and CI where nobody sits at the device."""

    rules: tuple[PolicyRule, ...] = ()

    @classmethod
    def parse(cls, document: Mapping[str, object]) -> ConsentPolicy:
        """Read a parsed TOML document of `[[allow]]` tables. Raises UsageError `policy.*` with the place."""
        if unknown := document.keys() - {"allow"}:
            raise UsageError("policy.unknown", f"the consent policy has an unknown key {min(unknown)!r}")
        tables = document.get("allow", [])
        if not isinstance(tables, list):
            raise UsageError("policy.value", "the consent policy's `allow` is not a list of tables; write [[allow]]")
        return cls(tuple(_rule(table, f"allow[{i}]") for i, table in enumerate(tables)))

    def decide(self, asking: Asking) -> Consent | None:
        """Consent if one rule allows all of it, else None; rules never add up."""
        return _consent(asking, "policy") if any(rule.allows(asking) for rule in self.rules) else None


def _rule(table: object, place: str) -> PolicyRule:
    if not isinstance(table, dict):
        raise UsageError("policy.value", f"{place} in the consent policy is not a table")
    if unknown := table.keys() - _RULE_KEYS:
        raise UsageError("policy.unknown", f"{place} in the consent policy has an unknown key {min(unknown)!r}")
    if missing := _RULE_REQUIRED - table.keys():
        raise UsageError("policy.missing", f"{place} in the consent policy lacks {min(missing)!r}")
    minutes, ports, signer = table["max_ttl_minutes"], table.get("ports", []), table["signer"]
    if type(minutes) is not int or not 1 <= minutes <= 1440:
        raise UsageError(
            "policy.value", f"{place}.max_ttl_minutes in the consent policy is not a number from 1 to 1440"
        )
    if not isinstance(ports, list) or not isinstance(signer, str):
        raise UsageError("policy.value", f"{place} in the consent policy has a signer or ports of the wrong type")
    helpers = table.get("helpers", [])
    if not isinstance(helpers, list) or not all(isinstance(key, str) for key in helpers):
        raise UsageError("policy.value", f"{place}.helpers in the consent policy is not a list of public keys")
    try:
        ssh_key.parse_public(signer)
        for key in helpers:
            login_key.parse(key)
        scope = Scope(cast(Level, table["scope"]), tuple(ports), table.get("files", False))
    except UsageError as error:
        raise UsageError("policy.value", f"{place} in the consent policy: {error.message}") from None
    return PolicyRule(signer, scope, minutes, frozenset(helpers))
