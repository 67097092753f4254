"""End a session: cut first, then put everything back, then tell the admin (2.13). Offline is fine, twice is fine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from support_tunnel.core.errors import HostError, UsageError, WrongState
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.control import Channel
from support_tunnel.core.st1.payloads import ControlKind
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import probes, undo_report, undo_script
from support_tunnel.flows.device.note_logins import note_logins
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record, load_channel, load_record
from support_tunnel.flows.device.run_hook import run_down
from support_tunnel.flows.teardown import Teardown

__all__ = [
    "OWNER_ENDED_IT",
    "end_session",
    "end_unless_held",
    "let_in_name",
    "note_reason",
    "stop_all",
    "stop_session",
    "was_stopped",
]

OWNER_ENDED_IT = "the owner ended it"

_REASON = "reason"


def note_reason(ports: DevicePorts, tunnel: TunnelId, reason: str) -> None:
    """Say why the session is about to end; the first reason given stays."""
    with suppress(UsageError):  # damaged: a reason is not worth an ending
        if ports.vault.get(tunnel, _REASON) is None and load_record(ports.vault, tunnel) is not None:
            ports.vault.put(tunnel, _REASON, Secret(reason.encode()))


def was_stopped(ports: DevicePorts, tunnel: TunnelId) -> bool:
    """Whether somebody has said why this tunnel is to end."""
    return ports.vault.get(tunnel, _REASON) is not None


def stop_session(ports: DevicePorts, tunnel: TunnelId, reason: str) -> None:
    """Cut now, let the keeper's own ending run if there is one, and end whatever is left without it.

    A tool that is still waiting for an answer holds the tunnel: closing its mailbox makes it let go and clean up itself.
    """
    names, ending, known = Names(tunnel), Teardown(), _Known(None, None)
    with ending.step():
        note_reason(ports, tunnel, reason)
    with ending.step():
        known = _what_is_known(ports, tunnel)
    _note_damage(ports, tunnel, known)
    if known.may_be_open:
        with ending.step():
            ports.shell.run_script(probes.cut(names), timeout=20)
        with ending.step():
            ports.shell.run_script(probes.stop_keeper(names), timeout=90)
    with ending.step():
        wait_for(
            lambda: _ended(ports, tunnel, known),
            what="the other tool that works on this request (end it with Ctrl-C)",
            seconds=15,
            clock=ports.clock,
        )
    ending.raise_first()


def stop_all(ports: DevicePorts, tunnels: Sequence[TunnelId], reason: str) -> None:
    """Cut each of them, and then end each: nobody stays in while another one's ending waits for a tool or for the API.

    One that does not end keeps none of the others open. Raises the first failure after all.
    """
    ending = Teardown()
    for tunnel in tunnels:
        with ending.step():
            note_reason(ports, tunnel, reason)
        with ending.step():
            if _what_is_known(ports, tunnel).may_be_open:
                ports.shell.run_script(probes.cut(Names(tunnel)), timeout=20)
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


@dataclass(frozen=True, slots=True)
class _Known:
    """What the vault can tell of a session that is to end. `damaged`: it holds something that cannot be gone by."""

    record: Record | None
    damaged: UsageError | None

    @property
    def may_be_open(self) -> bool:
        """Only a request of which nothing was made yet is none: things that have its names are not ours then."""
        return self.record is None or self.record.was_opened


def _what_is_known(ports: DevicePorts, tunnel: TunnelId) -> _Known:
    """Never raises for a damaged record: a session is ended by its names alone then (05, test 51)."""
    try:
        return _Known(load_record(ports.vault, tunnel), None)
    except UsageError as damaged:
        return _Known(None, damaged)


def let_in_name(ports: DevicePorts, tunnel: TunnelId) -> str:
    """Who was let in, as far as that is known."""
    known = _what_is_known(ports, tunnel)
    if known.damaged:
        return "(not known any more; see the log)"
    return known.record.admin_name if known.record else ""


def _note_damage(ports: DevicePorts, tunnel: TunnelId, known: _Known) -> None:
    if known.damaged:
        ports.progress.note(f"Ending {tunnel[:8]} by its names alone: {known.damaged.message}.")


def _ended(ports: DevicePorts, tunnel: TunnelId, before: _Known) -> bool | None:
    if not before.may_be_open and tunnel not in ports.vault.tunnels():
        return True  # the tool that asked has let go of it; nothing is there to end by name
    if end_unless_held(ports, tunnel):
        return True
    record = _what_is_known(ports, tunnel).record
    if record is not None and record.stage == "requested":
        # Who waits for an answer sees this at once; who asks the owner looks for the reason, and still has a no to send.
        with suppress(HostError, WrongState):
            ports.mailbox_for(record.device_token, patient=False).close(tunnel)
    return None


def end_session(ports: DevicePorts, tunnel: TunnelId) -> None:
    """Every step runs, also when one before it failed. Raises HostError `stop.leftovers` naming what is still there."""
    ending, left, known = Teardown(), list[str](), _Known(None, None)
    with ending.step():
        known = _what_is_known(ports, tunnel)
    _note_damage(ports, tunnel, known)
    if known.may_be_open:
        left += _put_back(ports, tunnel, known.record, ending)
    else:
        with ending.step():
            ports.shell.run_script(probes.forget_request_timer(Names(tunnel)), timeout=20)
    head, channel = "", None
    with ending.step():
        if known.record and known.record.was_opened:
            note_logins(ports, tunnel, known.record)
    with ending.step():
        if known.record or known.damaged:
            head = _log_end(ports, tunnel)
    with ending.step():
        channel = _channel(ports, tunnel)
    with ending.step():
        if known.record:
            _tell(ports, tunnel, known.record, channel, head)
    with ending.step():
        ports.vault.erase(tunnel)
    with ending.step():
        if known.may_be_open:
            left += probes.read(ports.shell, probes.leftovers(Names(tunnel)), timeout=20).get("left", "").splitlines()
    if left:
        raise HostError(
            "stop.leftovers",
            f"the session is cut, but this is left: {', '.join(left)}",
            next_step="Run `inv gc` again.",
        )
    ending.raise_first()


def _put_back(ports: DevicePorts, tunnel: TunnelId, record: Record | None, ending: Teardown) -> list[str]:
    """Cut, then undo, with the owner's scripts between; return what the undo could not put back."""
    names, left = Names(tunnel), list[str]()
    with ending.step():
        ports.shell.run_script(probes.cut(names), timeout=20)
    with ending.step():
        run_down(ports, tunnel, "pre-down", record)
    with ending.step():
        undone = undo_report(ports.shell.run_script(undo_script(probes.undo_folder(names)), timeout=60))
        left += [f"{undone.failed.task} ({undone.failed.detail})"] if undone.failed else []
    with ending.step():
        ports.shell.run_script(probes.sweep_names(names), timeout=20)
    with ending.step():
        run_down(ports, tunnel, "post-down", record)
    return left


def _log_end(ports: DevicePorts, tunnel: TunnelId) -> str:
    reason = ports.vault.get(tunnel, _REASON)
    words = reason.reveal().decode(errors="replace") if reason else "the tool or the time ended it"
    return ports.journal.append(tunnel, "ended", {"reason": words})


def _channel(ports: DevicePorts, tunnel: TunnelId) -> Channel | None:
    try:
        return load_channel(ports.vault, tunnel)
    except UsageError as damaged:
        ports.progress.note(f"The helper is told by the API alone: {damaged.message}.")
        return None


def _tell(ports: DevicePorts, tunnel: TunnelId, record: Record, channel: Channel | None, head: str) -> None:
    """The sealed `stopped` for the admin, or `declined` when nothing was opened; the API being away changes nothing here.

    Without a log's head only the closing.
    """
    mailbox = ports.mailbox_for(record.device_token, patient=False)
    try:
        if channel is not None and head:
            kind: ControlKind = "declined" if record.stage == "answered" else "stopped"
            mailbox.post(tunnel, "control-device", channel.send(kind, head, now=ports.clock.now()))
        mailbox.close(tunnel)
    except (HostError, WrongState) as away:
        ports.progress.note(f"The helper could not be told ({away.message}); this device is closed all the same.")
