"""The owner's whole job in one verb: ask, wait, consent, open. Whatever interrupts it puts the device back."""

from __future__ import annotations

from collections.abc import Callable

from support_tunnel.core.st1.code import Code
from support_tunnel.flows.device.admit import await_answer
from support_tunnel.flows.device.check_device import usable_kex
from support_tunnel.flows.device.let_in import Connected, end_if_lost, let_in, or_put_back
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record
from support_tunnel.flows.device.request import Wish, request
from support_tunnel.flows.device.take_place import place

__all__ = ["request_and_connect"]


def request_and_connect(
    ports: DevicePorts, wish: Wish, *, keeper: tuple[str, ...], hand_over: Callable[[Code, Record], None]
) -> Connected:
    """Ask for support and open to the admin whom the owner accepts; `hand_over` shows the code once.

    Raises ConsentRefused when the owner or their policy says no, HostError when a step fails. In every such case, and when
    the process is interrupted, nothing of the request is left on the device.
    """
    kex = usable_kex(ports)
    code = Code.generate(phone=wish.phone)
    with place(ports, code.tunnel), or_put_back(ports, code.tunnel):
        ports.progress.step("Asking for support")
        requested = request(ports, wish, code)
        ports.progress.end()  # what is handed over may be on the same terminal
        hand_over(code, requested.record)
        ports.progress.step("Waiting for a helper to answer")
        session = await_answer(ports, requested)
        connected = let_in(ports, requested, session, keeper=keeper, kex=kex)
    end_if_lost(ports, code.tunnel)
    return connected
