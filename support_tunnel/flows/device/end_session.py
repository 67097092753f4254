"""End a session: cut first, then put everything back, then tell the admin (2.13). Offline is fine, twice is fine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from support_tunnel.core.errors import HostError, WrongState
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import probes, undo_report, undo_script
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record, load_channel, load_record
from support_tunnel.flows.device.run_hook import run_down
from support_tunnel.flows.teardown import Teardown

__all__ = ["end_session", "end_unless_held", "note_reason", "stop_all", "stop_session", "was_stopped"]

_REASON = "reason"


def note_reason(ports: DevicePorts, tunnel: TunnelId, reason: str) -> None:
    """Say why the session is about to end; the first reason given stays."""
    if ports.vault.get(tunnel, _REASON) is None and load_record(ports.vault, tunnel) is not None:
        ports.vault.put(tunnel, _REASON, Secret(reason.encode()))


def was_stopped(ports: DevicePorts, tunnel: TunnelId) -> bool:
    """Whether somebody has said why this tunnel is to end."""
    return ports.vault.get(tunnel, _REASON) is not None


def stop_session(ports: DevicePorts, tunnel: TunnelId, reason: str) -> None:
    """Cut now, let the keeper's own ending run if there is one, and end whatever is left without it.

    A tool that is still waiting for an answer holds the tunnel: closing its mailbox makes it let go and clean up itself.
    """
    names, ending = Names(tunnel), Teardown()
    with ending.step():
        note_reason(ports, tunnel, reason)
    with ending.step():
        ports.shell.run_script(probes.cut(names), timeout=20)
    with ending.step():
        ports.shell.run_script(probes.stop_keeper(names), timeout=90)
    with ending.step():
        wait_for(
            lambda: _ended(ports, tunnel),
            what="the other tool that works on this request (end it with Ctrl-C)",
            seconds=15,
            clock=ports.clock,
        )
    ending.raise_first()


def stop_all(ports: DevicePorts, tunnels: Sequence[TunnelId], reason: str) -> None:
    """Stop each of them; one that does not end keeps none of the others open. Raises the first failure after all."""
    ending = Teardown()
    for tunnel in tunnels:
        with ending.step():
            stop_session(ports, tunnel, reason)
    ending.raise_first()


def end_unless_held(ports: DevicePorts, tunnel: TunnelId) -> bool:
    """End it, and say so; a tool that holds it is opening or stopping it, and puts the device back itself."""
    try:
        with ports.vault.hold(tunnel):
            end_session(ports, tunnel)
            return True
    except WrongState as busy:
        if busy.code != "tunnel.busy":
            raise
        return False


def _ended(ports: DevicePorts, tunnel: TunnelId) -> bool | None:
    if end_unless_held(ports, tunnel):
        return True
    if record := load_record(ports.vault, tunnel):
        with suppress(HostError, WrongState):
            ports.mailbox_for(record.device_token, patient=False).close(tunnel)
    return None


def end_session(ports: DevicePorts, tunnel: TunnelId) -> None:
    """Every step runs, also when one before it failed. Raises HostError `stop.leftovers` naming what is still there."""
    names, ending, left = Names(tunnel), Teardown(), []
    with ending.step():
        ports.shell.run_script(probes.cut(names), timeout=20)
    with ending.step():
        run_down(ports, tunnel, "pre-down", load_record(ports.vault, tunnel))
    with ending.step():
        undone = undo_report(ports.shell.run_script(undo_script(probes.undo_folder(names)), timeout=60))
        left += [f"{undone.failed.task} ({undone.failed.detail})"] if undone.failed else []
    with ending.step():
        ports.shell.run_script(probes.sweep_names(names), timeout=20)
    with ending.step():
        run_down(ports, tunnel, "post-down", load_record(ports.vault, tunnel))
    with ending.step():
        if (record := load_record(ports.vault, tunnel)) is not None:
            head = _log_end(ports, tunnel)
            _tell(ports, tunnel, record, head)
    with ending.step():
        ports.vault.erase(tunnel)
    with ending.step():
        left += probes.read(ports.shell, probes.leftovers(names), timeout=20).get("left", "").splitlines()
    if left:
        raise HostError(
            "stop.leftovers",
            f"the session is cut, but this is left: {', '.join(left)}",
            next_step="Run `inv gc` again.",
        )
    ending.raise_first()


def _log_end(ports: DevicePorts, tunnel: TunnelId) -> str:
    reason = ports.vault.get(tunnel, _REASON)
    words = reason.reveal().decode() if reason else "the tool or the time ended it"
    return ports.journal.append(tunnel, "ended", {"reason": words})


def _tell(ports: DevicePorts, tunnel: TunnelId, record: Record, head: str) -> None:
    """The sealed `stopped` for the admin; the API being away changes nothing here."""
    mailbox, channel = ports.mailbox_for(record.device_token, patient=False), load_channel(ports.vault, tunnel)
    try:
        if channel is not None:
            mailbox.post(tunnel, "control-device", channel.send("stopped", head, now=ports.clock.now()))
        mailbox.close(tunnel)
    except (HostError, WrongState) as away:
        ports.progress.note(f"The helper could not be told ({away.message}); this device is closed all the same.")
