"""Verbs of the device: what `inv --list` shows to an owner."""

from __future__ import annotations

import sys

from invoke.collection import Collection
from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.device.asking_tasks import (
    approve,
    connect,
    connect_approved_tunnels,
    request,
    request_and_connect_tunnel,
)
from support_tunnel.cli.device.doctor import doctor
from support_tunnel.cli.device.install import install, uninstall
from support_tunnel.cli.device.lists import detail_all_tunnels, list_all_tunnels, list_running_tunnels
from support_tunnel.cli.device.upgrade_task import upgrade
from support_tunnel.cli.explain_task import explain
from support_tunnel.cli.output import emit, line

__all__ = ["namespace"]

_JSON = "one line of JSON a result, for programs"


@verb(flags={"json": _JSON})
def status(c: Context, json: bool = False) -> None:
    """Show whether anybody is let in, who, until when."""
    from support_tunnel.cli.device.status_screen import status_screen
    from support_tunnel.cli.device.wiring import ending_ports
    from support_tunnel.flows.device import status as flow

    rows = flow.status(ending_ports())
    if json:
        emit(
            [
                {
                    "tunnel_id": row.tunnel,
                    "state": row.state,
                    "admin": row.admin,
                    "fingerprint": row.fingerprint,
                    "helpers": [helper.shown() for helper in row.helpers],
                    "scope": row.scope.level if row.scope else "",
                    "waits": row.waits,
                    "approved": row.approved,
                    "until": row.until,
                    "limits": row.limits,
                }
                for row in rows
            ]
        )
        return
    if not rows:
        line("closed: nobody is let in, and no request is waiting")
    for row in rows:
        until = f", until {row.until.astimezone():%H:%M}" if row.until else ""
        who = ", ".join([row.admin or "(nobody yet)", *(helper.name for helper in row.helpers)])
        line(f"{row.state}: {row.tunnel[:8]} {who}{until}")
        sys.stderr.write(status_screen(row))


@verb(optional_id=True, flags={"tunnel": "only this one: its id, or the first 8 digits or more", "json": _JSON})
def stop(c: Context, tunnel: str = "", json: bool = False) -> None:
    """End every session and request now, or only one.

    Works offline.
    """
    from support_tunnel.cli import paths
    from support_tunnel.cli.device.tunnel_choice import chosen
    from support_tunnel.cli.device.wiring import ending_ports
    from support_tunnel.core.owner_screens import ended
    from support_tunnel.flows.device.clean_up import known_tunnels
    from support_tunnel.flows.device.end_session import OWNER_ENDED_IT, let_in_name, stop_all

    ports = ending_ports()
    known = known_tunnels(ports)
    tunnels = chosen(tunnel, known) if tunnel else known
    let_in = {one: let_in_name(ports, one) for one in tunnels}
    stop_all(ports, tunnels, OWNER_ENDED_IT)
    if json:
        emit({"stopped": [str(one) for one in tunnels]})
        return
    line(f"closed: ended {len(tunnels)}" if tunnels else "closed: there was nothing to end")
    for one in tunnels:
        log = str(paths.DEVICE_LOG / f"{one[:8]}.jsonl")
        sys.stderr.write(ended(let_in[one], when=ports.clock.now(), reason=OWNER_ENDED_IT, log=log))


@verb(flags={"json": _JSON})
def gc(c: Context, json: bool = False) -> None:
    """End what a crash or a power cut has left.

    A live session is left alone.
    """
    from support_tunnel.cli.device.wiring import ending_ports
    from support_tunnel.flows.device.clean_up import clean_up

    ended = clean_up(ending_ports())
    if json:
        emit({"ended": [str(tunnel) for tunnel in ended]})
    else:
        line(f"ended {len(ended)} orphaned" if ended else "nothing to clean up")


def namespace() -> Collection:
    """The collection that tasks.py names."""
    return Collection(
        request_and_connect_tunnel,
        request,
        approve,
        connect,
        connect_approved_tunnels,
        status,
        stop,
        gc,
        list_all_tunnels,
        list_running_tunnels,
        detail_all_tunnels,
        doctor,
        explain,
        install,
        uninstall,
        upgrade,
    )
