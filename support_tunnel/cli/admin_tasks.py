"""Verbs of the admin's side: what `fab --list` shows to support staff."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.context import Context

from support_tunnel.cli import api_tasks, key_tasks
from support_tunnel.cli.admin_doctor import doctor
from support_tunnel.cli.boundary import verb
from support_tunnel.cli.converge_task import converge
from support_tunnel.cli.cost_task import cost
from support_tunnel.cli.explain_task import explain
from support_tunnel.cli.output import emit, line
from support_tunnel.cli.reach_tasks import command, connect, fetch, forward, put
from support_tunnel.cli.rehearse_task import rehearse
from support_tunnel.cli.view_tasks import get, list_, settings
from support_tunnel.core.errors import SupportTunnelError, UsageError

if TYPE_CHECKING:
    from support_tunnel.core.names import TunnelId
    from support_tunnel.flows.admin.finish import Answered
    from support_tunnel.flows.admin.ports import AdminPorts

__all__ = ["namespace"]

SWEEP_FORKS = 16
"""Servers that are ended at the same time, over all clouds."""
_JSON = "one line of JSON a result, for programs"
_ID = "tunnel id, or the first digits of it"


@verb(
    aliases=("create",),
    flags={
        "preshared-key": "the owner's code: - (stdin), file:PATH, env:NAME, or the code itself (visible to others); asked for if absent",
        "tunnel-id": "checked against the code when given",
        "minutes": "stay at most this long (default: tunnel_minutes of the inventory, 30), never longer than the owner offers",
        "wait": "minutes from now for the owner to take up the answer, 5 to 1440 (default 30); as long there is a server",
        "ticket": "your case number, for the log of a device of your organisation",
        "allow-classical": "accept a device without ML-KEM",
        "allow-classical-ssh": "accept a server or device whose ssh has no post-quantum key exchange",
        "allow-skew": "accept a device whose clock is more than a day off",
        "json": _JSON,
    },
)
def create_tunnel_server(
    c: Context,
    preshared_key: str = "",
    tunnel_id: str = "",
    minutes: int = 0,
    wait: int = 30,
    ticket: str = "",
    allow_classical: bool = False,
    allow_classical_ssh: bool = False,
    allow_skew: bool = False,
    json: bool = False,
) -> None:
    """Answer an owner's code: launch a server for this one tunnel, and connect once the owner has said yes."""
    from support_tunnel.adapters.local_cloud import require_linux
    from support_tunnel.adapters.terminal import TerminalPrompt
    from support_tunnel.cli.admin_settings import load_admin_settings
    from support_tunnel.cli.code_entry import owners_code
    from support_tunnel.cli.wiring_admin import admin_ports
    from support_tunnel.core.names import parse_tunnel_id
    from support_tunnel.flows.admin.create_server import create_server
    from support_tunnel.flows.admin.ports import AcceptedRisks
    from support_tunnel.flows.admin.unfinished import unfinished

    chosen = load_admin_settings(os.environ)
    code = owners_code(preshared_key, refuse_argv=chosen.refuse_code_on_argv, prompt=TerminalPrompt())
    if tunnel_id and parse_tunnel_id(tunnel_id) != code.tunnel:
        raise UsageError(
            "code.mismatch",
            "the tunnel id is not the one of this code",
            next_step="Leave -t out, or take both lines from the same request.",
        )
    if minutes < 0:
        raise UsageError("usage.range", "--minutes is a positive number")
    if not 5 <= wait <= 24 * 60:
        raise UsageError("usage.range", "--wait is from 5 to 1440 minutes", next_step="Give a number from 5 to 1440.")
    accepted = AcceptedRisks(classical=allow_classical, skew=allow_skew)
    ports = admin_ports(chosen, accepted=accepted, allow_classical_ssh=allow_classical_ssh)
    if ports.cloud == "local":
        require_linux()  # before the request is answered: one that is broken off costs the owner a new code

    try:
        for said in unfinished(ports):
            ports.progress.note(said)
        answered = create_server(
            ports,
            code,
            name=chosen.display_name,
            max_ttl=minutes * 60 or None,
            ticket=ticket,
            patience=wait * 60,
            read_aloud=lambda digits: _read_aloud(ports, digits, as_json=json),
        )
    finally:
        ports.progress.end()
    _connected(code.tunnel, answered, as_json=json)


@verb(
    positional=("tunnel_id",),
    flags={
        "tunnel-id": _ID,
        "allow-classical-ssh": "accept a server or device whose ssh has no post-quantum key exchange",
        "allow-skew": "accept a device whose clock is more than a day off",
        "json": _JSON,
    },
)
def resume(
    c: Context, tunnel_id: str, allow_classical_ssh: bool = False, allow_skew: bool = False, json: bool = False
) -> None:
    """Go on with an answer that was broken off (the tool killed, the terminal gone) after it had been given."""
    from support_tunnel.cli.admin_settings import load_admin_settings
    from support_tunnel.cli.wiring_admin import admin_ports
    from support_tunnel.flows.admin.listing import find
    from support_tunnel.flows.admin.ports import AcceptedRisks
    from support_tunnel.flows.admin.resume import resume as flow

    accepted = AcceptedRisks(skew=allow_skew)
    ports = admin_ports(load_admin_settings(os.environ), accepted=accepted, allow_classical_ssh=allow_classical_ssh)
    tunnel = find(ports, tunnel_id)
    try:
        answered = flow(ports, tunnel, read_aloud=lambda digits: _read_aloud(ports, digits, as_json=json))
    finally:
        ports.progress.end()
    _connected(tunnel, answered, as_json=json)


def _read_aloud(ports: AdminPorts, digits: str, *, as_json: bool) -> None:
    ports.progress.note(f"Read these digits to the owner: {digits[:3]} {digits[3:]}")
    if as_json:
        emit({"event": "digits", "digits": digits})


def _connected(tunnel: TunnelId, answered: Answered, *, as_json: bool) -> None:
    if as_json:
        emit(
            {
                "event": "connected",
                "tunnel_id": tunnel,
                "device": answered.device,
                "user": answered.user,
                "until": answered.until,
                "server": answered.server_address,
                "transport": answered.transport,
                **({"way": answered.way} if answered.way else {}),
                "answer_to_connected_seconds": round(answered.answer_to_connected, 3),
            }
        )
    else:
        short = tunnel[:8]
        line(f"connected: {answered.device} as {answered.user} until {_local(answered.until)}")
        if answered.way == "udp-443":
            sys.stderr.write("It goes by UDP 443: the server's own port does not get through to the device.\n")
        if answered.way == "relay":
            sys.stderr.write("It goes through the tunnel server's relay: UDP does not get through to the device.\n")
        sys.stderr.write(f"A terminal: fab connect {short}    One command: fab command {short} 'uptime'\n")
        sys.stderr.write(f"End it and remove the server: fab stop {short}\n")


@verb(positional=("tunnel_id",), flags={"tunnel-id": _ID, "json": _JSON})
def stop(c: Context, tunnel_id: str, json: bool = False) -> None:
    """End a tunnel: tell the device, remove the server, erase the keys."""
    from support_tunnel.cli.admin_settings import load_admin_settings
    from support_tunnel.cli.wiring_admin import admin_ports
    from support_tunnel.flows.admin import stop as flow
    from support_tunnel.flows.admin.listing import find

    ports = admin_ports(load_admin_settings(os.environ))
    tunnel = find(ports, tunnel_id)
    with ports.vault.hold(tunnel):
        flow.stop(ports, tunnel)
    ports.progress.end()
    if json:
        emit({"stopped": tunnel})
    else:
        line(f"stopped: {tunnel[:8]}, its server is gone")


@verb(aliases=("gc",), flags={"dry-run": "say what would be ended, end nothing", "json": _JSON})
def sweep(c: Context, dry_run: bool = False, json: bool = False) -> None:
    """End whatever a killed tool left behind and every server of ours that is past its own expiry."""
    from support_tunnel.adapters.at_once import at_once
    from support_tunnel.cli.admin_settings import load_admin_settings
    from support_tunnel.cli.rehearsal.stage import remove_dead
    from support_tunnel.cli.wiring_admin import admin_ports
    from support_tunnel.flows.admin import sweep as flow

    ports = admin_ports(load_admin_settings(os.environ))
    swept = flow.sweep(ports, dry_run=dry_run, at_once=partial(at_once, forks=SWEEP_FORKS))
    if not dry_run and os.geteuid() == 0:
        swept.ended += remove_dead()
    ports.progress.end()
    if json:
        emit(
            {
                "dry_run": dry_run,
                "ended": swept.ended,
                "kept": swept.kept,
                "failed": [list(pair) for pair in swept.failed],
            }
        )
    else:
        for label in swept.ended:
            line(f"{'would end' if dry_run else 'ended'}: {label}")
        for label in swept.kept:
            line(f"kept: {label}")
        if not (swept.ended or swept.kept or swept.failed):
            line("nothing to sweep")
    if swept.failed:
        what = "; ".join(f"{label}: {reason}" for label, reason in swept.failed)
        raise SupportTunnelError(
            "sweep.failed", f"could not be proved gone: {what}", next_step="Run `fab sweep` again."
        )


def _local(when: datetime) -> str:
    return when.astimezone().strftime("%H:%M")


def namespace() -> Collection:
    """The collection that fabfile.py names."""
    collection = Collection(
        create_tunnel_server,
        resume,
        list_,
        get,
        settings,
        doctor,
        cost,
        explain,
        connect,
        command,
        put,
        fetch,
        forward,
        stop,
        sweep,
        rehearse,
        converge,
    )
    collection.add_collection(api_tasks.namespace(), name="api")
    collection.add_collection(key_tasks.namespace(), name="key")
    return collection
