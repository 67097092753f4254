"""Verbs of the admin that work on a connected device: a terminal, one command, files, a port."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line

if TYPE_CHECKING:
    from support_tunnel.core.names import TunnelId
    from support_tunnel.flows.admin.ports import AdminPorts

__all__ = ["command", "connect", "fetch", "forward", "put"]

_JSON = "one line of JSON a result, for programs"
_ID = "tunnel id, or the first digits of it"


@verb(positional=("tunnel_id",), flags={"tunnel-id": _ID})
def connect(c: Context, tunnel_id: str) -> None:
    """Open a terminal in the device's session."""
    ports, tunnel = _found(tunnel_id)
    status = ports.door.terminal(tunnel)
    if status:
        raise SystemExit(status)


@verb(
    positional=("tunnel_id", "command_line"),
    flags={"tunnel-id": _ID, "command-line": "what to run, in quotes: 'df -h /'", "json": _JSON},
)
def command(c: Context, tunnel_id: str, command_line: str, json: bool = False) -> None:
    """Run one command in the device's session; its exit status becomes this one's."""
    ports, tunnel = _found(tunnel_id)
    done = ports.door.command(tunnel, command_line, timeout=None)
    if json:
        emit({"status": done.status, "stdout": done.stdout, "stderr": done.stderr})
    else:
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
    if done.status:
        raise SystemExit(done.status)


@verb(
    positional=("tunnel_id", "local"),
    flags={
        "tunnel-id": _ID,
        "local": "the file here",
        "to": "its name there (default: the same, in the session's home folder; a folder ends with /)",
        "force": "replace what is there",
        "json": _JSON,
    },
)
def put(c: Context, tunnel_id: str, local: str, to: str = "", force: bool = False, json: bool = False) -> None:
    """Copy a file to the device, if its owner offered that.

    What is put there goes with the session.
    """
    from support_tunnel.flows.admin import reach

    ports, tunnel = _found(tunnel_id)
    try:
        target = reach.put(ports, tunnel, local, to, replace=force)
    finally:
        ports.progress.end()
    _copied(local, target, as_json=json)


@verb(
    positional=("tunnel_id", "remote"),
    flags={
        "tunnel-id": _ID,
        "remote": "the file there",
        "to": "its name here (default: the same, in this folder; a folder ends with /)",
        "force": "replace what is here",
        "json": _JSON,
    },
)
def fetch(c: Context, tunnel_id: str, remote: str, to: str = "", force: bool = False, json: bool = False) -> None:
    """Copy a file from the device, if its owner offered that."""
    from support_tunnel.flows.admin import reach

    ports, tunnel = _found(tunnel_id)
    try:
        target = reach.fetch(ports, tunnel, remote, to, replace=force)
    finally:
        ports.progress.end()
    _copied(remote, target, as_json=json)


@verb(
    positional=("tunnel_id", "port"),
    flags={"tunnel-id": _ID, "port": "PORT of the device, or PORT:LOCALPORT", "json": _JSON},
)
def forward(c: Context, tunnel_id: str, port: str, json: bool = False) -> None:
    """Reach a port of the device from this machine, if its owner offered that.

    Ctrl-C ends it.
    """
    from support_tunnel.flows.admin import reach

    theirs, ours = reach.parse_forward(port)
    ports, tunnel = _found(tunnel_id)

    def opened() -> None:
        if json:
            emit({"event": "forwarding", "local": f"127.0.0.1:{ours}", "port": theirs})
        else:
            line(f"forwarding 127.0.0.1:{ours} to the device's port {theirs}; Ctrl-C ends it")

    try:
        reach.forward(ports, tunnel, theirs, ours, opened=opened)
    except KeyboardInterrupt:
        return  # the one way in which it ends well


def _found(text: str) -> tuple[AdminPorts, TunnelId]:
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.flows.admin.listing import find

    ports = admin_ports(load_admin_settings(os.environ))
    return ports, find(ports, text)


def _copied(source: str, target: str, *, as_json: bool) -> None:
    if as_json:
        emit({"from": source, "to": target})
    else:
        line(f"copied: {source} -> {target}")
