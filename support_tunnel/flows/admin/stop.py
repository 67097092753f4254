"""End a tunnel from the admin's side. Every step runs, also when one before it failed; the ledger goes last."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from support_tunnel.core.errors import CloudError, HostError, MessageError, SupportTunnelError, WrongState
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ports import LedgerEntry, Mailbox
from support_tunnel.core.report import Report, Step
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.control import Channel
from support_tunnel.core.waiting import wait_for
from support_tunnel.flows.admin.coordinate import dissolve
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.record import CLAIM, LOGIN_KEY, load_channel, load_reached, save_channel
from support_tunnel.flows.admin.spending import return_rented
from support_tunnel.flows.admin.standing_server import named_by
from support_tunnel.flows.standing import leave
from support_tunnel.flows.teardown import Teardown

__all__ = ["Ended", "end_tunnel", "keep", "stop", "tear_down"]

NO_LOG = "0" * 64
"""Head of an audit log that this side does not keep yet."""

LAG = 60.0
"""Seconds by which a cloud's list may be behind what the cloud made."""
BLINK = 3.0
"""Seconds for which a server that was listed before must be missing until it is believed gone."""
FAREWELL = 5.0
"""Seconds the device gets to say that it is closed before its path is taken away; it closes by itself anyway."""


@dataclass(frozen=True, slots=True)
class Ended:
    """`trouble` is the first step's that failed; the ledger entry is there still then."""

    report: Report
    trouble: Exception | None


def stop(ports: AdminPorts, tunnel: TunnelId) -> None:
    """Tell the device, destroy the server and prove it gone, erase the keys, forget the tunnel.

    Raises CloudError, CoordinatorError when that could not be proved: the ledger entry then stays, and `fab sweep` tries again.
    """
    if (trouble := end_tunnel(ports, tunnel).trouble) is not None:
        raise trouble


def end_tunnel(ports: AdminPorts, tunnel: TunnelId) -> Ended:
    """As `stop`, and say of each step what became of it. Raises only what comes before the first: an unreadable ledger."""
    entry, ending = ports.ledger.read(tunnel), Teardown()
    with ending.step():
        if entry is not None and entry.stage != "stopping":
            ports.ledger.write(replace(entry, stage="stopping"))
    theirs = False
    if entry is not None and entry.headscale:
        # First of all: this is what cuts whoever is connected, and it waits for nobody.
        theirs = _leave_standing(ports, entry, ending)
    with ending.step("device told") as words:
        if theirs:
            words.append("not from here: it is connected to somebody else, or will be")
        elif (claim := ports.vault.get(tunnel, CLAIM)) is not None:
            # A device that was not heard to be open has nothing to say; it sees the stop, or the closed mailbox.
            wait = FAREWELL if entry is not None and entry.stage == "connected" else 0.0
            words += _tell(ports, tunnel, ports.mailbox_for(claim), wait)
        else:
            words.append("not from here: nothing to tell it with; it ends by itself")
    if entry is not None and not entry.headscale:
        with ending.step() as words:
            words += _close_network(ports, entry)
            ending.steps += [Step("network closed", True, said) for said in words]
    with ending.step("own node ended"):
        if ports.own_node is not None:
            ports.own_node.leave(tunnel)
    if entry is None or not entry.headscale:
        with ending.step("tunnel server removed, and the cloud's list read again"):
            if entry is not None:
                _destroy(ports, entry)
            return_rented(ports, tunnel)
    if entry is not None and entry.image:
        with ending.step("image that was not finished removed"):
            _remove_half_made(ports, entry)
    with ending.step("keys on this machine erased"):
        ports.vault.erase(tunnel)
    report = Report(tunnel, entry.ticket if entry else "", ports.clock.now(), tuple(ending.steps))
    if entry is not None:
        keep(ports, report)
    if not ending.failures:
        with ending.step():
            ports.ledger.remove(tunnel)
    return Ended(report, ending.failures[0] if ending.failures else None)


def keep(ports: AdminPorts, report: Report) -> None:
    try:
        ports.ledger.keep_report(report)
    except (SupportTunnelError, OSError) as trouble:
        ports.progress.note(f"The report could not be kept: {trouble}.")


def _leave_standing(ports: AdminPorts, entry: LedgerEntry, ending: Teardown) -> bool:
    """Give whether the tunnel there is somebody else's."""
    ports.progress.step("Ending the tunnel on the Headscale server")
    failed, theirs = len(ending.failures), False
    with ending.step():
        coordinator = named_by(ports, entry.headscale)
        theirs = leave(coordinator, ports.clock, Names(entry.tunnel).short, entry.nonce, ending)
    if len(ending.failures) > failed and not ending.steps:
        ending.steps.append(Step("ended on the Headscale server", False, str(ending.failures[failed])))
    return theirs


def tear_down(ports: AdminPorts, tunnel: TunnelId) -> None:
    """End it while another error is on its way up: that one stays the one that is reported."""
    ending = Teardown()
    with ending.step():
        stop(ports, tunnel)
    for left in ending.failures:
        ports.progress.note(f"Not everything could be removed: {left}. `fab sweep` tries again.")


def _tell(ports: AdminPorts, tunnel: TunnelId, mailbox: Mailbox, farewell: float) -> list[str]:
    """In words, what is not as usual."""
    channel = load_channel(ports.vault, tunnel)
    try:
        if channel is not None:
            ports.progress.step("Telling the device")
            blob = channel.send("stop", NO_LOG, now=ports.clock.now())
            save_channel(ports.vault, tunnel, channel)
            mailbox.post(tunnel, "control-admin", blob)
            deadline, seen = ports.clock.monotonic() + farewell, 0
            while (left := deadline - ports.clock.monotonic()) > 0:
                for blob_ in mailbox.messages(tunnel, after=seen, wait=left):
                    seen = blob_.number
                    if blob_.slot == "control-device" and _is_stopped(channel, blob_.data):
                        deadline = ports.clock.monotonic()
        mailbox.close(tunnel)
    except (HostError, WrongState) as away:
        # A closed or unreachable mailbox must not keep the server alive; the device ends on its own clock.
        ports.progress.note(f"The device could not be told: {away.message}.")
        return [f"it could not be: {away.message}; it ends by itself"]
    except SupportTunnelError as refused:
        ports.progress.note(f"The API refused: {refused.message}.")
        return [f"it could not be: {refused.message}; it ends by itself"]
    return []


def _is_stopped(channel: Channel, data: bytes) -> bool:
    try:
        return channel.receive(data).kind == "stopped"
    except MessageError:
        return False


def _close_network(ports: AdminPorts, entry: LedgerEntry) -> list[str]:
    """Where the server is a Headscale: nothing of it is needed for the end, so trouble here is told and no more."""
    reached, login = load_reached(ports.vault, entry.tunnel), ports.vault.get(entry.tunnel, LOGIN_KEY)
    if reached is None or login is None or not reached.authority:
        return []
    try:
        dissolve(ports, entry, reached, Secret(login.reveal().decode()))
    except SupportTunnelError as trouble:
        ports.progress.note(f"The tunnel's network ends with its server: {trouble.message}.")
        return [f"with its server: {trouble.message}"]
    return ["keys expired, nodes deleted, its list read again: empty"]


def _remove_half_made(ports: AdminPorts, entry: LedgerEntry) -> None:
    images = ports.images[entry.cloud]
    for image in images.baked():
        if image.name == entry.image:
            images.remove(image.id)


def _destroy(ports: AdminPorts, entry: LedgerEntry) -> None:
    """By tag, not by the id in the ledger: a create whose answer was lost has no id there (2.16)."""
    tunnel, cloud = entry.tunnel, ports.clouds.get(entry.cloud)
    if cloud is None:
        raise CloudError(
            "cloud.unknown",
            f"the server of tunnel {tunnel[:8]} is on cloud {entry.cloud!r}, which the inventory no longer names",
            next_step="Put the cloud back into the inventory and run `fab sweep`.",
        )
    ports.progress.step("Removing the tunnel server")

    def listed() -> list[str]:
        return [server.id for server in cloud.servers() if server.tags.get("st-tunnel") == tunnel]

    def known() -> list[str] | None:
        return found if entry.server_id in (found := listed()) else None

    found = listed()
    if entry.server_id and entry.server_id not in found:
        # Made, and not in one list: some are a few seconds behind or empty by mistake, and nobody would look for it again
        # until its time is over. One that was never listed gets longer.
        seconds = LAG if entry.stage == "launched" and not entry.server_address else BLINK
        with suppress(HostError):
            found = wait_for(known, what="it", seconds=seconds, clock=ports.clock, first_pause=1, longest_pause=3)
    for server in found:
        cloud.destroy(server)
