"""The device's verbs as methods. Decides nothing: the same checks, flows and wiring as `inv`, so no second way in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from support_tunnel.adapters.own_memory import close_own_memory
from support_tunnel.core.names import TunnelId
from support_tunnel.core.owner_screens import Introduction
from support_tunnel.core.ports import Prompt as Owner
from support_tunnel.core.ports import Question
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret

if TYPE_CHECKING:
    from support_tunnel.core.st1.code import Code
    from support_tunnel.flows.device.connect import Tried
    from support_tunnel.flows.device.let_in import Connected
    from support_tunnel.flows.device.ports import DevicePorts
    from support_tunnel.flows.device.record import Record
    from support_tunnel.flows.device.status import TunnelStatus

__all__ = ["Device", "Introduction", "Owner", "Question", "WaitingRequest"]


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """A request that waits. `code` is for the owner to hand over, and for nothing else."""

    tunnel: TunnelId
    code: Secret[str]
    until: datetime


class Device:
    """This device, by its settings file and the environment. Every method raises SupportTunnelError (core.errors)."""

    def __init__(self, *, on_step: Callable[[str], None] = lambda text: None) -> None:
        """`on_step` is told what is being done, a sentence each; never a secret.

        From here on nobody but root looks into this process, and it leaves no core file: it will hold codes and keys.
        """
        close_own_memory()
        self._progress = _Told(on_step)

    def request(
        self,
        *,
        ttl: int,
        wait: int = 3600,
        name: str = "",
        ports: Sequence[int] = (),
        files: bool = False,
        phone: bool = False,
        transport: str = "wireguard",
        pq: str = "require",
    ) -> WaitingRequest:
        """Ask for support and leave the request waiting: `ttl` seconds at most for a helper, `wait` seconds for the request.

        `transport` is wireguard, headscale or auto, `pq` is require or prefer, as the flags of these names are.
        """
        from support_tunnel.cli.device.ready import check_times, ready
        from support_tunnel.cli.device.wiring import keeper_command
        from support_tunnel.core.transports import transports
        from support_tunnel.flows.device.request import Wish
        from support_tunnel.flows.device.request_and_leave import request_and_leave

        check_times(ttl=ttl / 60, wait=wait / 60)
        ways = transports(transport, pq)
        settings, device = ready()
        wish = Wish(
            Scope("shell", tuple(ports), files),
            ttl,
            name or settings.name,
            patience=wait,
            phone=phone,
            transports=ways,
        )
        handed: list[WaitingRequest] = []

        def keep(code: Code, record: Record) -> None:
            handed.append(WaitingRequest(code.tunnel, code.text(), record.until))

        request_and_leave(self._told(device), wish, keeper=keeper_command(settings), hand_over=keep)
        return handed[0]

    def connect(self, tunnel: TunnelId, owner: Owner, *, wait: float = 0.0) -> Connected:
        """Wait up to `wait` seconds for the answer, ask `owner`, open. Until they are asked, nothing is given up."""
        from support_tunnel.cli.device.ready import ready
        from support_tunnel.cli.device.wiring import keeper_command
        from support_tunnel.flows.device.connect import connect

        settings, ports = ready(owner)
        return connect(self._told(ports), tunnel, keeper=keeper_command(settings), wait=wait)

    def connect_approved(self) -> list[Tried]:
        """Open what was answered and approved before; asks nobody."""
        from support_tunnel.cli.device.ready import ready
        from support_tunnel.cli.device.wiring import keeper_command
        from support_tunnel.flows.device.connect import connect_approved

        settings, ports = ready()
        return connect_approved(self._told(ports), keeper=keeper_command(settings))

    def status(self) -> list[TunnelStatus]:
        """One row a request or session; none: nobody is let in, and nobody was asked."""
        from support_tunnel.cli.device.wiring import ending_ports
        from support_tunnel.flows.device.status import status

        return status(self._told(ending_ports()))

    def stop(self, tunnel: TunnelId | None = None) -> list[TunnelId]:
        """End this one, or all; works offline. Returns what was ended."""
        from support_tunnel.cli.device.wiring import ending_ports
        from support_tunnel.flows.device.clean_up import known_tunnels
        from support_tunnel.flows.device.end_session import OWNER_ENDED_IT, stop_all

        ports = self._told(ending_ports())
        ended = [one for one in known_tunnels(ports) if tunnel is None or one == tunnel]
        stop_all(ports, ended, OWNER_ENDED_IT)
        return ended

    def _told(self, ports: DevicePorts) -> DevicePorts:
        return replace(ports, progress=self._progress)


class _Told:
    """`ports.Progress` for a program: every step and note is one sentence."""

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self.step = self.note = on_step

    def end(self) -> None:
        """Nothing is drawn, so nothing is to be ended."""
