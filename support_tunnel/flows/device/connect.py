"""Go on with a request that waits: read its answer, get the owner's consent, open.

Until the answer is confirmed nothing is given up: a look at the mailbox, a Ctrl-C, an API that is away leave it waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from support_tunnel.core.errors import ConsentRefused, MessageError, SupportTunnelError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.st1.device_session import DeviceSession
from support_tunnel.flows.device.admit import await_answer, without_asking
from support_tunnel.flows.device.check_device import usable_kex
from support_tunnel.flows.device.keep_request import kept_request, waiting_requests
from support_tunnel.flows.device.let_in import Connected, end_if_lost, let_in, or_put_back, put_back
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.request import Requested

__all__ = ["Tried", "connect", "connect_approved"]


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one request. `waiting`: nobody has answered; `asks`: somebody has, and the owner is to decide."""

    tunnel: TunnelId
    state: Literal["waiting", "asks", "connected", "failed"]
    connected: Connected | None = None
    error: SupportTunnelError | None = None


def connect(ports: DevicePorts, tunnel: TunnelId, *, keeper: tuple[str, ...], wait: float) -> Connected:
    """Wait up to `wait` seconds for the answer, ask the owner, open.

    Raises WrongState `request.gone`, `answer.none` (it goes on waiting), and what `request_and_connect` raises, after which
    nothing of the request is left.
    """
    kex = usable_kex(ports)
    with ports.vault.hold(tunnel):
        requested = kept_request(ports, tunnel)
        ports.progress.step("Looking for the helper's answer")
        session = _answer(ports, requested, wait)
        with or_put_back(ports, tunnel):
            connected = let_in(ports, requested, session, keeper=keeper, kex=kex)
    end_if_lost(ports, tunnel)
    return connected


def connect_approved(ports: DevicePorts, *, keeper: tuple[str, ...]) -> list[Tried]:
    """Open every waiting request that was answered and needs no question: approved in advance, or allowed by the policy.

    Asks nobody. One that fails keeps none of the others from being opened.
    """
    waiting = waiting_requests(ports)
    kex = usable_kex(ports) if waiting else ()
    tried = []
    for tunnel in waiting:
        try:
            tried.append(_try(ports, tunnel, keeper=keeper, kex=kex))
        except SupportTunnelError as error:
            state: Literal["waiting", "failed"] = (
                "waiting" if error.code in {"answer.none", "tunnel.busy"} else "failed"
            )
            tried.append(Tried(tunnel, state, error=error))
    return tried


def _try(ports: DevicePorts, tunnel: TunnelId, *, keeper: tuple[str, ...], kex: tuple[str, ...]) -> Tried:
    with ports.vault.hold(tunnel):
        requested = kept_request(ports, tunnel)
        session = _answer(ports, requested, 0)
        if without_asking(ports, requested, session) is None:
            return Tried(tunnel, "asks")
        with or_put_back(ports, tunnel):
            connected = let_in(ports, requested, session, keeper=keeper, kex=kex)
    end_if_lost(ports, tunnel)
    return Tried(tunnel, "connected", connected)


def _answer(ports: DevicePorts, requested: Requested, wait: float) -> DeviceSession:
    """An answer that opened and may not be, or an end that nobody can take back, ends the request here too."""
    try:
        return await_answer(ports, requested, wait)
    except (ConsentRefused, MessageError) as over:
        put_back(ports, requested.tunnel, over)
        raise
    except WrongState as state:
        if state.code == "tunnel.unknown":
            raise WrongState(
                state.code,
                "the API that this device uses now knows nothing of the request; it goes on waiting",
                next_step="Use the API that it was made with (SUPPORT_TUNNEL_API), or end it with `inv stop`.",
            ) from None
        if state.code == "tunnel.closed":
            put_back(ports, requested.tunnel, state)
        raise
