"""The owner's whole job in one verb: ask, wait, consent, open. Whatever interrupts it puts the device back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from support_tunnel.core.consent import Consent
from support_tunnel.core.device_health import require_fit
from support_tunnel.core.errors import HostError, SupportTunnelError
from support_tunnel.core.kex import POST_QUANTUM_KEX
from support_tunnel.core.names import TunnelId
from support_tunnel.core.st1.code import Code
from support_tunnel.desired import probes
from support_tunnel.flows.device.admit import admit, await_answer
from support_tunnel.flows.device.end_session import end_session, end_unless_held, note_reason
from support_tunnel.flows.device.open_session import Opened, open_session, require_watched
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.request import Wish, refuse_second, request
from support_tunnel.flows.teardown import Teardown

__all__ = ["Connected", "request_and_connect", "usable_kex"]


@dataclass(frozen=True, slots=True)
class Connected:
    consent: Consent
    opened: Opened


def request_and_connect(
    ports: DevicePorts, wish: Wish, *, keeper: tuple[str, ...], hand_over: Callable[[Code], None]
) -> Connected:
    """Ask for support and open to the admin whom the owner accepts; `hand_over` shows the code once.

    Raises ConsentRefused when the owner or their policy says no, HostError when a step fails. In every such case, and when
    the process is interrupted, nothing of the request is left on the device.
    """
    kex = usable_kex(ports)
    refuse_second(ports)
    code = Code.generate(phone=wish.phone)
    tunnel = code.tunnel
    with ports.vault.hold(tunnel):
        try:
            ports.progress.step("Asking for support")
            requested = request(ports, wish, code)
            hand_over(code)
            ports.progress.step("Waiting for a helper to answer")
            session = await_answer(ports, requested)
            ports.progress.step(f"{session.answer.name} answers: checking, and asking for consent")
            consent = admit(ports, requested, session)
            ports.progress.step("Opening the tunnel")
            opened = open_session(ports, requested, session, consent, keeper=keeper, kex=kex)
        except BaseException as interrupted:
            why = interrupted.message if isinstance(interrupted, SupportTunnelError) else "the tool was interrupted"
            _put_back(ports, tunnel, why)
            raise
    _end_if_lost(ports, tunnel)
    return Connected(consent, opened)


def _end_if_lost(ports: DevicePorts, tunnel: TunnelId) -> None:
    """Let go of first: a keeper that came to its end while we still held the tunnel could not put anything back."""
    try:
        require_watched(ports, tunnel)
    except HostError:
        end_unless_held(ports, tunnel)
        raise


def _put_back(ports: DevicePorts, tunnel: TunnelId, why: str) -> None:
    """End it while another error is on its way up: that one stays the one that is reported."""
    ending = Teardown()
    with ending.step():
        note_reason(ports, tunnel, why)
    with ending.step():
        end_session(ports, tunnel)
    for left in ending.failures:
        ports.progress.note(f"Not everything could be put back: {left}. `inv gc` tries again.")


def usable_kex(ports: DevicePorts) -> tuple[str, ...]:
    """Check that this device can hold a session at all; return the post-quantum key exchanges its ssh knows."""
    found = probes.read(ports.shell, probes.capabilities(), timeout=20)
    require_fit(found)
    return tuple(name for name in POST_QUANTUM_KEX if name in found["kex"].split())
