"""Wait for the answer, prove it, and ask the owner. Returns a Consent or raises; opens nothing."""

from __future__ import annotations

import math
from dataclasses import replace

from support_tunnel.core.consent import Consent, by_owner, in_advance
from support_tunnel.core.errors import ConsentRefused, MessageError, WrongState
from support_tunnel.core.owner_screens import introduction
from support_tunnel.core.st1.device_session import DeviceSession
from support_tunnel.core.st1.people import listed
from support_tunnel.core.st1.signer import SignerIdentity
from support_tunnel.core.states import DeviceState
from support_tunnel.flows.device.end_session import was_stopped
from support_tunnel.flows.device.keep_request import drop_request
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import save_channel, save_record
from support_tunnel.flows.device.request import Requested
from support_tunnel.flows.listening import Listening

__all__ = ["NOBODY_CAME", "OWNER_PATIENCE", "admit", "await_answer", "without_asking"]

OWNER_PATIENCE = 600.0
"""Seconds the owner has to answer a question (05, test 26)."""

NOBODY_CAME = "nobody answered the request in time"


def await_answer(ports: DevicePorts, requested: Requested, wait: float = math.inf) -> DeviceSession:
    """Block until an answer opens, `wait` seconds at most. One that does not open changes nothing and is shown to the owner (2.3).

    An API that is away meanwhile is waited for. Raises WrongState `answer.none` when `wait` is over (HostError where the API is away then), ConsentRefused `request.timeout` when the request itself is,
    MessageError when an answer opened and breaks a rule.
    """
    tunnel = requested.tunnel
    listening = Listening(requested.mailbox, tunnel, ports.clock, ports.progress)
    deadline = ports.clock.monotonic() + wait
    while (left := (requested.record.until - ports.clock.now()).total_seconds()) > 0:
        for blob in listening.next(min(left, deadline - ports.clock.monotonic())):
            if blob.slot != "answer":
                continue
            try:
                return requested.offer.open_answer(blob.data, trust=ports.trust(), now=ports.clock.now())
            except MessageError as refused:
                if requested.offer.state is not DeviceState.OFFERED:
                    ports.journal.append(tunnel, "answer-refused", {"code": refused.code})
                    raise
                ports.journal.append(tunnel, "answer-unopened", {"code": refused.code})
                ports.progress.note("Somebody without the code tried to answer; nothing was opened.")
        if ports.clock.monotonic() >= deadline:
            if listening.away:
                raise listening.away
            raise WrongState(
                "answer.none",
                "nobody has answered yet; the request goes on waiting",
                next_step=f"Wait for an answer with `inv connect {tunnel[:8]}`, or look again later.",
            )
    raise ConsentRefused(
        "request.timeout",
        NOBODY_CAME,
        next_step="Ask again: `inv request-and-connect-tunnel`.",
    )


def admit(ports: DevicePorts, requested: Requested, session: DeviceSession) -> Consent:
    """Confirm the keys to the admin, then get the owner's consent: given before, or typed here.

    From the confirmation on no other process goes on with this request, and the admin can be told of a no.
    """
    tunnel, answer = requested.tunnel, session.answer
    confirmation = session.confirm(ports.clock.now())
    drop_request(ports, tunnel)
    save_channel(ports.vault, tunnel, session.channel())
    save_record(
        ports.vault,
        tunnel,
        replace(
            requested.record,
            stage="answered",
            scope=answer.scope,
            ttl=answer.ttl,
            admin_name=answer.name,
            admin_fingerprint=session.signer.fingerprint,
            helpers=answer.helpers,
        ),
    )
    requested.mailbox.post(tunnel, "confirm", confirmation)
    consent = without_asking(ports, requested, session) or _ask(ports, session)
    ports.journal.append(
        tunnel,
        "consented",
        {
            "how": consent.how,
            "admin": consent.name,
            "fingerprint": consent.fingerprint,
            **_vouched(session.signer),
            **({"helpers": listed(consent.helpers)} if consent.helpers else {}),
            "scope": consent.scope.level,
            "until": int(consent.until.timestamp()),
        },
    )
    return consent


def without_asking(ports: DevicePorts, requested: Requested, session: DeviceSession) -> Consent | None:
    """Consent that was given before: by a rule of root's policy file, or by the owner when they asked. Sends nothing."""
    session.confirm(ports.clock.now())
    policy = ports.policy()
    allowed = policy.decide(session) if policy else None
    return allowed or in_advance(session, requested.record.approved_for)


def _vouched(signer: SignerIdentity) -> dict[str, str]:
    """For the log, where an organisation answers for the helper: which, and the words of its certificate."""
    return {"organisation": signer.organisation, "key_id": signer.key_id} if signer.organisation else {}


def _ask(ports: DevicePorts, session: DeviceSession) -> Consent:
    ports.progress.end()
    met = ports.acquaintances.met(session.signer.fingerprint)
    ports.prompt.introduce(introduction(session, met_before=met.times, last_met=met.last))
    skipped = _digits_skipped(ports, session)
    said = ports.prompt.ask(
        "Let them in? Type yes to open, anything else to refuse: ",
        about="decision",
        timeout=OWNER_PATIENCE,
        stopped=lambda: was_stopped(ports, session.tunnel),
    )
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
        typed = ports.prompt.ask(
            f"Six digits that the helper reads to you {otherwise}: ",
            about="digits",
            timeout=OWNER_PATIENCE,
            stopped=lambda: was_stopped(ports, session.tunnel),
        )
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
