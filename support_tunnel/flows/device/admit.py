"""Wait for the answer, prove it, and ask the owner. Returns a Consent or raises; opens nothing."""

from __future__ import annotations

from datetime import timedelta

from support_tunnel.core.consent import Consent, consent_text
from support_tunnel.core.errors import ConsentRefused, MessageError
from support_tunnel.core.st1.device import DeviceSession
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.request import Requested

__all__ = ["admit", "await_answer"]

LONGEST_POLL = 25.0
"""Seconds one look into the mailbox may wait; below the idle limit of common proxies."""

OWNER_PATIENCE = 600.0
"""Seconds the owner has to answer a question (05, test 26)."""


def await_answer(ports: DevicePorts, requested: Requested) -> DeviceSession:
    """Block until an answer opens. An answer that does not open changes nothing and is shown to the owner (2.3).

    Raises ConsentRefused `request.timeout` when nobody came, MessageError when an answer opened and breaks a rule.
    """
    tunnel, seen = requested.code.tunnel, 0
    while (left := (requested.record.until - ports.clock.now()).total_seconds()) > 0:
        for blob in requested.mailbox.messages(tunnel, after=seen, wait=min(LONGEST_POLL, left)):
            seen = blob.number
            if blob.slot != "answer":
                continue
            try:
                return requested.offer.open_answer(blob.data, trust=ports.trust)
            except MessageError as refused:
                if requested.offer.answered:
                    ports.journal.append(tunnel, "answer-refused", {"code": refused.code})
                    raise
                ports.journal.append(tunnel, "answer-unopened", {"code": refused.code})
                ports.progress.note("Somebody without the code tried to answer; nothing was opened.")
    raise ConsentRefused(
        "request.timeout", "nobody answered the request in time", next_step="Ask again: `inv request-and-connect-tunnel`."
    )


def admit(ports: DevicePorts, requested: Requested, session: DeviceSession) -> Consent:
    """Confirm the keys to the admin, then get the owner's consent: from their policy file, or typed here."""
    tunnel = requested.code.tunnel
    requested.mailbox.post(tunnel, "confirm", session.confirm(ports.clock.now()))
    until = ports.clock.now() + timedelta(seconds=session.answer.ttl)
    decided = ports.policy.decide(session, tunnel=tunnel, until=until) if ports.policy else None
    consent = decided or _ask(ports, requested, session)
    ports.journal.append(
        tunnel,
        "consented",
        {
            "how": consent.how,
            "admin": consent.name,
            "fingerprint": consent.fingerprint,
            "scope": str(consent.scope),
            "until": int(consent.until.timestamp()),
        },
    )
    return consent


def _ask(ports: DevicePorts, requested: Requested, session: DeviceSession) -> Consent:
    prompt, tunnel = ports.prompt, requested.code.tunnel
    until = ports.clock.now() + timedelta(seconds=session.answer.ttl)
    met = ports.acquaintances.met(session.signer.fingerprint)
    prompt.show(consent_text(session, device=requested.offer.name, until=until, met_times=met.times, met_last=met.last))
    how = _digits(ports, session)
    said = prompt.ask("Let them in? Type yes to open, anything else to refuse:", timeout=OWNER_PATIENCE)
    if said.strip().lower() != "yes":
        ports.journal.append(tunnel, "declined", {"fingerprint": session.signer.fingerprint})
        raise ConsentRefused("consent.declined", "you refused; nothing was opened", next_step="Nothing more to do.")
    # The clock starts at the yes, not at the question: thinking time is not taken from the session.
    until = ports.clock.now() + timedelta(seconds=session.answer.ttl)
    return Consent.given(session, tunnel=tunnel, until=until, how=how)


def _digits(ports: DevicePorts, session: DeviceSession) -> str:
    while True:
        typed = ports.prompt.ask("Six digits that the helper reads to you (or skip, or no):", timeout=OWNER_PATIENCE)
        word = typed.strip().lower()
        if word == "no":
            raise ConsentRefused("consent.declined", "you refused; nothing was opened", next_step="Nothing more to do.")
        if word == "skip":
            ports.prompt.show(
                "Without the digits, anybody who got hold of the code could be the one who is asking. The log will say so."
            )
            return "digits skipped"
        if session.digits_match(typed):
            return "typed"
        ports.prompt.show("Those are not the digits. Ask the helper to read them again.")
