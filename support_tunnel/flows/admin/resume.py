"""Go on where a killed `create-tunnel-server` broke off: the identical answer again, never another one (2.3).

Only once it had answered: before that nobody has heard of the server, and a sweep removes it. Whatever may pass by itself
(API, server or device away) leaves everything as it was; what can never connect any more is ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from support_tunnel.core.errors import ConsentRefused, HostError, MessageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import LedgerEntry, Mailbox
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.flows.admin.finish import Answered, finish
from support_tunnel.flows.admin.meeting import Meeting
from support_tunnel.flows.admin.own_server import OwnServer
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.record import CLAIM, LOGIN_KEY, STATE, Reached, load_channel, load_reached, save_channel
from support_tunnel.flows.admin.standing_server import StandingServer, require_standing
from support_tunnel.flows.admin.stop import tear_down

__all__ = ["resume"]

LOGIN_PATIENCE = 30.0
OVER = frozenset({"device.silent", "device.stopped"})
"""Failures of a device that do not pass: its time is over, or it has ended what it could not open."""


@dataclass(frozen=True, slots=True)
class _Kept:
    entry: LedgerEntry
    claim: Secret[bytes]
    session: AdminSession
    reached: Reached


def resume(ports: AdminPorts, tunnel: TunnelId, *, read_aloud: Callable[[str], None]) -> Answered:
    """Connect `tunnel`. Raises WrongState `resume.nothing`, `tunnel.connected`, `tunnel.over`, and as `create_server`."""
    with ports.vault.hold(tunnel):
        kept = _kept(ports, tunnel)
        mailbox = ports.mailbox_for(kept.claim)
        try:
            _require_open(mailbox, tunnel)
            meeting = _meeting(ports, kept.entry, kept.reached)
            try:
                return finish(ports, kept.entry, mailbox, kept.session, meeting, read_aloud)
            finally:
                meeting.close()
        except (ConsentRefused, WrongState, MessageError):
            # The owner said no or gave up, or somebody sits in between: this answer has had its only chance.
            tear_down(ports, tunnel)
            raise
        except HostError as failed:
            if failed.code in OVER:
                tear_down(ports, tunnel)
            raise


def _meeting(ports: AdminPorts, entry: LedgerEntry, reached: Reached) -> Meeting:
    if entry.headscale:
        return StandingServer(ports, entry, require_standing(ports, entry.headscale), reached)
    ports.progress.step("Reaching the tunnel server again")
    login = ports.vault.get(entry.tunnel, LOGIN_KEY)
    if login is None:
        raise _nothing(entry.tunnel[:8])
    shell = ports.connector.connect(
        entry.server_address,
        user=reached.user,
        private_key=Secret(login.reveal().decode()),
        host_key=reached.host_key,
        timeout=LOGIN_PATIENCE,
    )
    return OwnServer(ports, entry, reached, shell)


def _require_open(mailbox: Mailbox, tunnel: TunnelId) -> None:
    """Raise WrongState `tunnel.closed` for a session that is over: its messages can still be read, up to READY."""
    seen = 0
    while blobs := mailbox.messages(tunnel, after=seen, wait=0):
        seen = blobs[-1].number


def _kept(ports: AdminPorts, tunnel: TunnelId) -> _Kept:
    entry = ports.ledger.read(tunnel)
    short = tunnel[:8]
    if entry is not None and entry.stage == "connected":
        raise WrongState(
            "tunnel.connected", f"tunnel {short} is connected already", next_step=f"Use `fab connect {short}`."
        )
    vault = ports.vault
    state, claim = (vault.get(tunnel, name) for name in (STATE, CLAIM))
    reached = load_reached(vault, tunnel)
    login = vault.get(tunnel, LOGIN_KEY) is not None or (entry is not None and bool(entry.headscale))
    if entry is None or entry.stage != "answered" or not (state and claim and login and reached):
        raise _nothing(short)
    if ports.clock.now() >= entry.expires:
        raise WrongState("tunnel.over", f"the time of tunnel {short} is over", next_step=f"Run `fab stop {short}`.")
    session = AdminSession.load(state)
    if load_channel(vault, tunnel) is None:
        save_channel(vault, tunnel, session.channel())
    return _Kept(entry, claim, session, reached)


def _nothing(short: str) -> WrongState:
    return WrongState(
        "resume.nothing",
        f"tunnel {short} had not been answered, or its keys are gone, so there is nothing to go on with",
        next_step=f"Run `fab stop {short}`, and ask the owner for a new code if the old one no longer works.",
    )
