"""Open the device to one admin. Takes a Consent: code that has none does not type-check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from support_tunnel.core import addressing
from support_tunnel.core.consent import Consent
from support_tunnel.core.errors import ConsentRefused, HostError, WrongState
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.st1.device_session import DeviceSession
from support_tunnel.core.st1.paths import Transport
from support_tunnel.core.st1.signer import Trust
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import probes, undo_report, undo_script
from support_tunnel.flows.device.end_session import was_stopped
from support_tunnel.flows.device.free_names import require_free_names
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import save_record
from support_tunnel.flows.device.request import Requested
from support_tunnel.flows.device.run_hook import run_up
from support_tunnel.flows.device.way_in import WayIn, way_in

__all__ = ["Opened", "open_session", "require_watched"]


@dataclass(frozen=True, slots=True)
class Opened:
    until: datetime
    user: str
    transport: Transport
    way: str
    """`udp`, `udp-443`, `direct`, `relay` or `alone`."""
    how: str
    """The same in words."""


def open_session(
    ports: DevicePorts,
    requested: Requested,
    session: DeviceSession,
    consent: Consent,
    *,
    keeper: tuple[str, ...],
    kex: tuple[str, ...],
) -> Opened:
    """Apply the device roles under an undo journal, start the keeper, wait until both ends have met, and tell the admin.

    `keeper` is the argument list that watches and ends this session; `kex` are the post-quantum key exchanges of this
    device's sshd. Raises HostError when a step, or a script of the owner, fails, ConsentRefused `consent.stopped` when
    somebody has stopped the request meanwhile; the caller then ends the session.
    """
    tunnel, names = requested.tunnel, Names(requested.tunnel)
    _refuse_if_stopped(ports, tunnel, "before you said yes")
    require_free_names(ports, tunnel)
    ways = [way_in(ports, requested, session, number) for number in range(len(session.answer.paths))]
    record = replace(
        requested.record,
        stage="opening",
        until=consent.until,
        boottime_limit=ports.clock.boottime() + (consent.until - ports.clock.now()).total_seconds(),
        admin_name=consent.name,
        admin_fingerprint=consent.fingerprint,
        scope=consent.scope,
        ttl=session.answer.ttl,
        network=str(ways[0].network),
        address=str(ways[0].address or ""),
        helpers=consent.helpers,
    )
    save_record(ports.vault, tunnel, record)
    run_up(ports, tunnel, "pre-up", record)
    _refuse_if_stopped(ports, tunnel, "before anything was opened")
    way = ways[0]
    if len(ways) > 1:
        way = _tried(ports, tunnel, ways)
    if way.address is None:
        _raise_up(ports, names, way)
        way = way.once_up(ports, names)
    if way is not ways[0]:
        record = replace(record, network=str(way.network), address=str(way.address))
        save_record(ports.vault, tunnel, record)
    with way.explained(ports, names):
        ports.library.converge(
            ports.shell,
            (way.role, "device_access"),
            _variables(requested, session, consent, kex, way) | _who_may_log_in(ports.trust(), session, consent, way),
            host="this device",
            timeout=90,
            undo=probes.undo_folder(names),
        )
    # Stopped while that ran, the cut found nothing yet; from here on it finds an interface, and `got_through` that it is gone.
    _refuse_if_stopped(ports, tunnel, "while it was being opened")
    probes.read(ports.shell, probes.start_keeper(names, keeper), timeout=20)
    met = wait_for(
        lambda: way.got_through(ports, names),
        what="meeting with the tunnel server",
        seconds=30,
        clock=ports.clock,
    )
    if len(ways) > 1 or way.path.transport != "wireguard":
        ports.progress.note(f"Connected {way.how(met)}.")
    run_up(ports, tunnel, "post-up", record)
    # The tool holds the tunnel, so an ending that the keeper began meanwhile left everything to us.
    require_watched(ports, tunnel)
    head = ports.journal.append(tunnel, "opened", {"user": names.user, "until": int(consent.until.timestamp())})
    ready = session.ready(consent=consent, user=names.user, until=consent.until, path=way.number, log_head=head)
    requested.mailbox.post(tunnel, "ready", ready)
    ports.acquaintances.remember(consent.fingerprint, consent.name, ports.clock.now())
    save_record(ports.vault, tunnel, replace(record, stage="active"))
    return Opened(consent.until, names.user, way.path.transport, met, way.how(met))


def _tried(ports: DevicePorts, tunnel: TunnelId, ways: Sequence[WayIn]) -> WayIn:
    """The first way that gets through, in the answer's order; each that does not is said, with why, and taken down.

    Nobody is let in by a way alone: the session's sshd comes after it. The last way is not tried here: its failure is the session's.
    """
    names = Names(tunnel)
    for way, after in pairwise(ways):
        try:
            _raise_up(ports, names, way)
            wait_for(
                lambda way=way: way.got_through(ports, names),  # type: ignore[misc]  # bound now
                what="meeting with the tunnel server",
                seconds=way.patience,
                clock=ports.clock,
            )
            return way.once_up(ports, names)
        except HostError as failed:
            _refuse_if_stopped(ports, tunnel, "while it was being opened")
            why = f"no answer in {way.patience:g} s" if failed.code == "wait.timeout" else failed.message
            ports.progress.note(f"Not {way.words}: {why}. Now {after.words}.")
            ports.shell.run_script(probes.cut(names), timeout=20)
            undone = ports.shell.run_script(undo_script(probes.undo_folder(names)), timeout=60)
            undo_report(undone).raise_for_failure("this device")
    return ways[-1]


def _raise_up(ports: DevicePorts, names: Names, way: WayIn) -> None:
    """The way alone: it lets nobody in. Raises HostError when a step fails."""
    with way.explained(ports, names):
        ports.library.converge(
            ports.shell,
            (way.role,),
            way.variables | _of_every_way(names, way),
            host="this device",
            timeout=60,
            undo=probes.undo_folder(names),
        )


def _refuse_if_stopped(ports: DevicePorts, tunnel: TunnelId, when: str) -> None:
    if was_stopped(ports, tunnel):
        raise ConsentRefused("consent.stopped", f"this request was stopped {when}", next_step="Ask again.")


def require_watched(ports: DevicePorts, tunnel: TunnelId) -> None:
    """Raise HostError `session.lost` unless session and keeper both run: nobody may be told of a session otherwise."""
    units = probes.read(ports.shell, probes.session_state(Names(tunnel)), timeout=20)
    if units.get("session") != "active" or units.get("keeper") != "active":
        raise _lost()


def _lost() -> HostError:
    return HostError("session.lost", "the session ended while it was being opened", next_step="Ask again.")


def _of_every_way(names: Names, way: WayIn) -> dict[str, object]:
    return {
        "session_short": names.short,
        "session_server_address": str(addressing.server_address(way.network)),
        "session_device_address": str(way.address or ""),
        "session_port": addressing.SESSION_PORT,
    }


def _variables(
    requested: Requested, session: DeviceSession, consent: Consent, kex: tuple[str, ...], way: WayIn
) -> dict[str, object]:
    return (
        way.variables
        | _of_every_way(Names(requested.tunnel), way)
        | {
            "device_access_host_key": requested.ssh_host_private,
            "device_access_expiry": consent.until.strftime("%Y%m%d%H%M%SZ"),
            "device_access_seconds": session.answer.ttl,
            "device_access_kex": list(kex),
            "device_access_files": consent.scope.files,
            "device_access_ports": list(consent.scope.ports),
        }
    )


def _who_may_log_in(trust: Trust, session: DeviceSession, consent: Consent, way: WayIn) -> dict[str, object]:
    """The answer's own keys and the helpers'; where an organisation vouched for it, no key but what that one certifies (2.9).

    Helpers come from anywhere in the network: nobody knows beforehand which address it gives them. Raises WrongState
    `trust.changed` when that organisation is no longer one of this device's.
    """
    helpers_places = [str(addressing.TAILNET)] if consent.helpers else []
    places: dict[str, object] = {"device_access_sources": list(way.sources)}
    if consent.organisation is None:
        return places | {
            "device_access_authorized_keys": list(session.answer.ssh_keys),
            "device_access_helper_keys": [helper.key for helper in consent.helpers],
            "device_access_helper_sources": helpers_places,
        }
    authorities = trust.authorities(consent.organisation)
    if not authorities:
        raise WrongState(
            "trust.changed",
            f"this device no longer trusts {consent.organisation}",
            next_step="Make a new request; its code replaces this one.",
        )
    return places | {
        "device_access_authorized_keys": [],
        "device_access_authorities": list(authorities),
        "device_access_helper_sources": [place for place in helpers_places if place not in way.sources],
    }
