"""Wait for the answer, prove it, and ask the owner. Returns a Consent or raises; opens nothing."""

from __future__ import annotations

from support_tunnel.core.consent import Consent, by_owner, consent_text
from support_tunnel.core.errors import ConsentRefused, MessageError
from support_tunnel.core.st1.device import DeviceSession
from support_tunnel.core.st1.signer import SignerIdentity
from support_tunnel.core.states import DeviceState
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.request import Requested

__all__ = ["NOBODY_CAME", "admit", "await_answer"]

LONGEST_POLL = 25.0
"""Seconds one look into the mailbox may wait; below the idle limit of common proxies."""

OWNER_PATIENCE = 600.0
"""Seconds the owner has to answer a question (05, test 26)."""

NOBODY_CAME = "nobody answered the request in time"


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
                return requested.offer.open_answer(blob.data, trust=ports.trust, now=ports.clock.now())
            except MessageError as refused:
                if requested.offer.state is not DeviceState.OFFERED:
                    ports.journal.append(tunnel, "answer-refused", {"code": refused.code})
                    raise
                ports.journal.append(tunnel, "answer-unopened", {"code": refused.code})
                ports.progress.note("Somebody without the code tried to answer; nothing was opened.")
    raise ConsentRefused(
        "request.timeout",
        NOBODY_CAME,
        next_step="Ask again: `inv request-and-connect-tunnel`.",
    )


def admit(ports: DevicePorts, requested: Requested, session: DeviceSession) -> Consent:
    """Confirm the keys to the admin, then get the owner's consent: from their policy file, or typed here."""
    tunnel = requested.code.tunnel
    requested.mailbox.post(tunnel, "confirm", session.confirm(ports.clock.now()))
    consent = (ports.policy.decide(session) if ports.policy else None) or _ask(ports, session)
    ports.journal.append(
        tunnel,
        "consented",
        {
            "how": consent.how,
            "admin": consent.name,
            "fingerprint": consent.fingerprint,
            **_vouched(session.signer),
            "scope": consent.scope.level,
            "until": int(consent.until.timestamp()),
        },
    )
    return consent


def _vouched(signer: SignerIdentity) -> dict[str, str]:
    """For the log, where an organisation answers for the helper: which, and the words of its certificate."""
    return {"organisation": signer.organisation, "key_id": signer.key_id} if signer.organisation else {}


def _ask(ports: DevicePorts, session: DeviceSession) -> Consent:
    ports.progress.end()
    met = ports.acquaintances.met(session.signer.fingerprint)
    ports.prompt.show(consent_text(session, met_before=met.times, last_met=met.last))
    skipped = _digits_skipped(ports, session)
    said = ports.prompt.ask("Let them in? Type yes to open, anything else to refuse: ", timeout=OWNER_PATIENCE)
    if said.strip().lower() != "yes":
        raise _declined()
    return by_owner(session, digits_skipped=skipped)


def _declined() -> ConsentRefused:
    return ConsentRefused("consent.declined", "you refused; nothing was opened", next_step="Nothing more to do.")


def _digits_skipped(ports: DevicePorts, session: DeviceSession) -> bool:
    # With a certificate behind the answer, whoever has the code alone gets no prompt: the digits add little (2.3).
    verified = session.signer.organisation is not None
    otherwise = "(or Enter to go on without, or no)" if verified else "(or skip, or no)"
    while True:
        typed = ports.prompt.ask(f"Six digits that the helper reads to you {otherwise}: ", timeout=OWNER_PATIENCE)
        word = typed.strip().lower()
        if verified and word in ("", "skip"):
            return True
        if word == "no":
            raise _declined()
        if word == "skip":
            ports.prompt.show(
                "Without the digits, anybody who got hold of the code could be the one who is asking. The log will say so."
            )
            return True
        if session.digits_match(typed):
            return False
        ports.prompt.show("Those are not the digits. Ask the helper to read them again.")
