"""Play the main job: the owner asks, the admin answers, a command runs, both end it; then prove that nothing is left."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support_tunnel.cli.admin.rehearsal.stage import Stage, invoke_on_device, stage
from support_tunnel.core.errors import HostError, SupportTunnelError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ports import Progress
from support_tunnel.core.waiting import wait_for

if TYPE_CHECKING:
    from support_tunnel.adapters.local_cloud.snapshot import Snapshot

__all__ = ["Rehearsed", "rehearse"]

NOT_A_CHANGE = ("var/log/support_tunnel", "var/lib/support_tunnel", "var/log/journal")
"""What a session is meant to leave: its log and the list of admins met; and the device's own journal."""


@dataclass(slots=True)
class Rehearsed:
    answer_to_connected_seconds: float = 0.0
    transport: str = ""
    way: str = ""
    """udp or udp-443; along Headscale direct or relay."""
    device_changes: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


def rehearse(progress: Progress, *, transport: str = "wireguard", pq: str = "require") -> Rehearsed:
    """Needs root and the local cloud. Raises what the verbs raise; everything it made is gone afterwards either way."""
    from support_tunnel.adapters.local_cloud import leaks

    done = Rehearsed()
    with stage(progress) as on:
        _play(on, progress, done, ("--transport", transport, "--pq", pq))
        progress.step("Removing the device")
    done.leftovers += leaks.find(on.cloud_root)
    return done


def _play(on: Stage, progress: Progress, done: Rehearsed, asked: tuple[str, ...]) -> None:
    from support_tunnel.adapters import processes
    from support_tunnel.adapters.local_cloud.snapshot import changes
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.core.st1.code import Code
    from support_tunnel.flows.admin.create_server import Terms, create_server
    from support_tunnel.flows.admin.stop import stop

    before = _seen(on)
    ports = admin_ports(on.settings, progress=progress)
    progress.step("Owner: inv request-and-connect-tunnel")
    ask = invoke_on_device("request-and-connect-tunnel", "--json", "--ttl", "5", *asked)
    with processes.streaming([*on.device.ssh, ask]) as owner:
        code = Code.parse(_event(owner, "requested")["preshared_key"])
        try:
            answered = create_server(ports, code, Terms(on.settings.display_name), read_aloud=lambda _: None)
        except SupportTunnelError:
            # The admin only sees that the device went away; why, the device says.
            for said in owner.end(timeout=30).stderr.splitlines():
                progress.note(f"device: {said}")
            raise
        done.answer_to_connected_seconds = answered.answer_to_connected
        done.transport, done.way = answered.transport, answered.way
        _event(owner, "connected")
        owner.end(timeout=30)
    progress.step("Admin: fab command ID 'id -un; hostname'")
    ran = ports.door.command(code.tunnel, "id -un; hostname", timeout=30)
    if ran.status != 0 or ran.stdout.split() != [answered.user, "device"]:
        raise HostError("rehearsal.command", f"the command answered {ran.stdout.split()} instead of its user and host")
    stop(ports, code.tunnel)
    progress.step("Waiting for the device to be closed")
    wait_for(
        lambda: True if _status(on) == [] else None,
        what="the end of the session on the device",
        seconds=30,
        clock=ports.clock,
        first_pause=0.1,
    )
    progress.step("Proving that both ends are clean")
    done.device_changes += changes(before, _seen(on), ignoring=NOT_A_CHANGE)
    done.leftovers += _left_on_device(on, code.tunnel)
    done.leftovers += [f"ledger entry {entry.tunnel[:8]}" for entry in ports.ledger.entries()]
    done.leftovers += [f"keys of {tunnel[:8]}" for tunnel in ports.vault.tunnels()]
    done.leftovers += [f"server {server.name}" for server in ports.clouds["local"].servers()]
    done.leftovers += [
        f"open tunnel {row.tunnel[:8]}" for row in ports.mailbox_for(None).tunnels() if row.state == "open"
    ]


def _seen(on: Stage) -> Snapshot:
    """The device's file tree as it is now."""
    from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
    from support_tunnel.adapters.local_cloud.snapshot import snapshot

    place = LocalNodeDriver(on.cloud_root).nodes.cloud.node(on.device.id)
    return snapshot(place.upper, Path("/"))


def _event(owner: Any, name: str) -> dict[str, str]:
    """The next event of the device's tool, which must be `name`; its own words otherwise."""
    said = owner.line()
    found: dict[str, str] = json.loads(said) if said.startswith("{") else {}
    if found.get("event") != name:
        ended = owner.end(timeout=30)
        words = found.get("error") or (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise HostError("rehearsal.device", f"the device's tool did not get to {name!r}: {words}")
    return found


def _status(on: Stage) -> list[dict[str, str]]:
    from support_tunnel.adapters import processes

    said = processes.run([*on.device.ssh, invoke_on_device("status", "--json")], timeout=30)
    rows: list[dict[str, str]] = json.loads(said.stdout)
    return rows


def _left_on_device(on: Stage, tunnel: TunnelId) -> list[str]:
    from support_tunnel.adapters import processes
    from support_tunnel.desired import probes

    script = probes.leftovers(Names(tunnel)).reveal()
    said = processes.run([*on.device.ssh, shlex.join(["sh", "-s"])], stdin=script.encode(), timeout=30)
    return [f"on the device: {line.partition(chr(9))[2]}" for line in said.stdout.splitlines()]
