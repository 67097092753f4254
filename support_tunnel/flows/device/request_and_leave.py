"""Ask for support and leave: the request waits by itself, for `connect`, `approve` or `connect-approved-tunnels`."""

from __future__ import annotations

from collections.abc import Callable

from support_tunnel.core.errors import ConsentRefused
from support_tunnel.core.names import TunnelId
from support_tunnel.core.owner_screens import advance
from support_tunnel.core.st1.code import Code
from support_tunnel.flows.device.admit import OWNER_PATIENCE
from support_tunnel.flows.device.check_device import usable_kex
from support_tunnel.flows.device.keep_request import keep_request
from support_tunnel.flows.device.let_in import or_put_back
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record
from support_tunnel.flows.device.request import Wish, request
from support_tunnel.flows.device.take_place import place

__all__ = ["request_and_leave"]


def request_and_leave(
    ports: DevicePorts, wish: Wish, *, keeper: tuple[str, ...], hand_over: Callable[[Code, Record], None]
) -> TunnelId:
    """Return the id of the request; `hand_over` shows the code once. The request ends by itself when `wish.patience` is over, with or without a person.

    An owner who wants to approve in advance is asked here, and what keeps the device from holding a session is said now, not when the
    helper is there. Raises ConsentRefused `consent.declined` and what `request` raises; nothing is left then.
    """
    usable_kex(ports)
    approved_for = _approve_in_advance(ports, wish) if wish.approved else None
    code = Code.generate(phone=wish.phone)
    with place(ports, code.tunnel), or_put_back(ports, code.tunnel):
        ports.progress.step("Asking for support")
        requested = request(ports, wish, code, approved_for=approved_for)
        keep_request(ports, requested, keeper=keeper)
        ports.progress.end()  # what is handed over may be on the same terminal
        hand_over(code, requested.record)
    return code.tunnel


def _approve_in_advance(ports: DevicePorts, wish: Wish) -> tuple[str, ...]:
    """The organisations that the owner said yes to; none: anybody who has the code."""
    vouching = tuple(organisation.name for organisation in ports.trust().organisations)
    ports.prompt.show(advance(wish.scope, ttl=wish.ttl, wait=wish.patience, organisations=vouching))
    said = ports.prompt.ask(
        "Type approve to say yes to that, anything else to ask nobody: ",
        about="advance",
        timeout=OWNER_PATIENCE,
        stopped=lambda: False,
    )
    if said.strip().lower() != "approve":
        raise ConsentRefused(
            "consent.declined",
            "you did not approve in advance; nobody was asked for support",
            next_step="Ask without --approve-in-advance; you then decide when somebody has answered.",
        )
    return vouching
