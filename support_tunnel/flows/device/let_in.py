"""From an answer that opened to the open tunnel: the owner's consent, then the session. Whatever interrupts it puts the device back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from support_tunnel.core.consent import Consent
from support_tunnel.core.errors import HostError, SupportTunnelError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.st1.device_session import DeviceSession
from support_tunnel.flows.device.admit import admit
from support_tunnel.flows.device.end_session import end_session, end_unless_held, note_reason
from support_tunnel.flows.device.open_session import Opened, open_session, require_watched
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.request import Requested
from support_tunnel.flows.teardown import Teardown

__all__ = ["Connected", "end_if_lost", "let_in", "or_put_back", "put_back"]


@dataclass(frozen=True, slots=True)
class Connected:
    consent: Consent
    opened: Opened


def let_in(
    ports: DevicePorts,
    requested: Requested,
    session: DeviceSession,
    *,
    keeper: tuple[str, ...],
    kex: tuple[str, ...],
) -> Connected:
    """Ask the owner (or their policy) and open. Raises ConsentRefused, HostError; the caller then puts back."""
    ports.progress.step(f"{session.answer.name} answers: checking, and asking for consent")
    consent = admit(ports, requested, session)
    ports.progress.step("Opening the tunnel")
    return Connected(consent, open_session(ports, requested, session, consent, keeper=keeper, kex=kex))


@contextmanager
def or_put_back(ports: DevicePorts, tunnel: TunnelId) -> Iterator[None]:
    """Leave nothing of the tunnel on the device when the block does not come to its end."""
    try:
        yield
    except BaseException as interrupted:
        put_back(ports, tunnel, interrupted)
        raise


def put_back(ports: DevicePorts, tunnel: TunnelId, interrupted: BaseException) -> None:
    """End it while another error is on its way up: that one stays the one that is reported."""
    why = interrupted.message if isinstance(interrupted, SupportTunnelError) else "the tool was interrupted"
    ending = Teardown()
    with ending.step():
        note_reason(ports, tunnel, why)
    with ending.step():
        end_session(ports, tunnel)
    for left in ending.failures:
        ports.progress.note(f"Not everything could be put back: {left}. `inv gc` tries again.")


def end_if_lost(ports: DevicePorts, tunnel: TunnelId) -> None:
    """Let go of first: a keeper that came to its end while we still held the tunnel could not put anything back."""
    try:
        require_watched(ports, tunnel)
    except HostError:
        end_unless_held(ports, tunnel)
        raise
