"""Take one of the places that a device has for requests and sessions; a timer, a button and a command at once get one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from support_tunnel.core.errors import WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.flows.device.clean_up import clean_up
from support_tunnel.flows.device.ports import DevicePorts

__all__ = ["place"]


@contextmanager
def place(ports: DevicePorts, tunnel: TunnelId) -> Iterator[None]:
    """Hold `tunnel` as one of those that this device may have at once. What a killed tool left takes no place: it is ended first.

    Raises WrongState `tunnel.active`, also when another tool takes the last place at the same moment.
    """
    with ExitStack() as held:
        try:
            _take(ports, tunnel, held)
        except WrongState:
            if not clean_up(ports):
                raise
            _take(ports, tunnel, held)
        yield


def _take(ports: DevicePorts, tunnel: TunnelId, held: ExitStack) -> None:
    with ports.vault.turn():
        others = ports.vault.tunnels()
        if len(others) >= ports.max_sessions:
            raise WrongState(
                "tunnel.active",
                f"this device already has {_requests(len(others))} ({', '.join(other[:8] for other in others)})",
                next_step="See it with `inv status`, end it with `inv stop`.",
            )
        held.enter_context(ports.vault.hold(tunnel))


def _requests(count: int) -> str:
    return "a request or session" if count == 1 else f"{count} requests or sessions"
