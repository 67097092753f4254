"""Run the owner's scripts around a session, and write into its log what became of each.

On the way up a script that fails refuses the session. On the way down it is only noted: nothing may keep a session from
ending. Each script of the way down runs once; again only if the ending itself was killed before it was done.
"""

from __future__ import annotations

from support_tunnel.core.errors import HostError, SupportTunnelError
from support_tunnel.core.hooks import HookContext, Moment
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ports import HookRun
from support_tunnel.core.secret import Secret
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record

__all__ = ["run_down", "run_up"]


def run_up(ports: DevicePorts, tunnel: TunnelId, moment: Moment, record: Record) -> None:
    """Raises HostError `hook.failed`, and whatever keeps a script from being run; the caller then ends the session."""
    try:
        ran = ports.hooks.run(moment, _context(tunnel, record))
    except SupportTunnelError as problem:
        _log(ports, tunnel, moment, problem)
        raise
    if ran is None:
        return
    _log(ports, tunnel, moment, ran)
    if ran.status != 0:
        raise HostError(
            "hook.failed",
            f"the {moment} script of this device refused with status {ran.status}",
            next_step=f"See what it said in the log of tunnel {tunnel[:8]}: `inv detail-all-tunnels`.",
        )


def run_down(ports: DevicePorts, tunnel: TunnelId, moment: Moment, record: Record | None) -> None:
    """Run it if the session got as far as its first script, and only if it has not run."""
    if record is None or not record.network or ports.vault.get(tunnel, moment) is not None:
        return
    try:
        ran = ports.hooks.run(moment, _context(tunnel, record))
    except SupportTunnelError as problem:
        _log(ports, tunnel, moment, problem)
    else:
        if ran is not None:
            _log(ports, tunnel, moment, ran)
    ports.vault.put(tunnel, moment, Secret(b"done"))


def _log(ports: DevicePorts, tunnel: TunnelId, moment: Moment, came: HookRun | SupportTunnelError) -> None:
    if isinstance(came, HookRun):
        ports.journal.append(tunnel, "hook", {"hook": moment, "status": came.status, "output": came.output})
        return
    ports.journal.append(tunnel, "hook", {"hook": moment, "problem": came.code})
    ports.progress.note(f"The {moment} script: {came.message}")


def _context(tunnel: TunnelId, record: Record) -> HookContext:
    names = Names(tunnel)
    return HookContext(tunnel, names.interface, record.address, record.network, names.user)
