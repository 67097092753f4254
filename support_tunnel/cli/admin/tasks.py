"""Verbs of the admin's side: what `fab --list` shows to support staff."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

from invoke.collection import Collection
from invoke.context import Context

from support_tunnel.cli.admin import key_tasks, tunnel_tasks
from support_tunnel.cli.admin.answering import Asked, answer, connected, read_aloud
from support_tunnel.cli.admin.bake_task import bake_image
from support_tunnel.cli.admin.converge_task import converge
from support_tunnel.cli.admin.cost_task import cost
from support_tunnel.cli.admin.doctor import doctor
from support_tunnel.cli.admin.headscale_task import headscale_status
from support_tunnel.cli.admin.reach_tasks import command, connect, fetch, forward, put
from support_tunnel.cli.admin.rehearse_task import rehearse
from support_tunnel.cli.admin.tunnel_tasks import show_report
from support_tunnel.cli.admin.view_tasks import get, list_, settings
from support_tunnel.cli.api import tasks as api_tasks
from support_tunnel.cli.boundary import verb
from support_tunnel.cli.explain_task import explain
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import SupportTunnelError

__all__ = ["namespace"]

SWEEP_FORKS = 16
"""Clouds that are swept at the same time."""
_JSON = "one line of JSON a result, for programs"
_ID = "tunnel id, or the first digits of it"


@verb(aliases=("create",), asked=Asked, without=("server",))
def create_tunnel_server(c: Context, asked: Asked) -> None:
    """Answer an owner's code: launch a server for this one tunnel, and connect.

    Nobody is let in before the owner has said yes. A server is there for this one tunnel and goes with it.
    """
    answer(replace(asked, server="own"))


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
    """Go on with an answer that was broken off after it was given.

    The tool was killed, or the terminal is gone.
    """
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.flows.admin.listing import find
    from support_tunnel.flows.admin.ports import AcceptedRisks
    from support_tunnel.flows.admin.resume import resume as flow

    accepted = AcceptedRisks(skew=allow_skew)
    ports = admin_ports(load_admin_settings(os.environ), accepted=accepted, allow_classical_ssh=allow_classical_ssh)
    tunnel = find(ports, tunnel_id)
    try:
        answered = flow(ports, tunnel, read_aloud=lambda digits: read_aloud(ports, digits, as_json=json))
    finally:
        ports.progress.end()
    connected(ports, tunnel, answered, helper_files="", as_json=json)


@verb(positional=("tunnel_id",), flags={"tunnel-id": _ID, "json": _JSON})
def stop(c: Context, tunnel_id: str, json: bool = False) -> None:
    """End a tunnel: tell the device, remove the server, erase the keys."""
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.flows.admin import stop as flow
    from support_tunnel.flows.admin.listing import find

    ports = admin_ports(load_admin_settings(os.environ))
    tunnel = find(ports, tunnel_id)
    with ports.vault.hold(tunnel):
        entry = ports.ledger.read(tunnel)
        flow.stop(ports, tunnel)
    ports.progress.end()
    if json:
        emit({"stopped": tunnel})
    else:
        what = "nothing of it is left" if entry is not None and entry.headscale else "its server is gone"
        line(f"stopped: {tunnel[:8]}, {what}")


@verb(aliases=("gc",), flags={"dry-run": "say what would be ended, end nothing", "json": _JSON})
def sweep(c: Context, dry_run: bool = False, json: bool = False) -> None:
    """End what a killed tool left behind, and all of ours that is past its time.

    On every cloud of the inventory, and on the standing server: each by the expiry that it carries itself.
    """
    from support_tunnel.adapters.at_once import at_once
    from support_tunnel.adapters.terminal import printable
    from support_tunnel.cli.admin.rehearsal.stage import remove_dead
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
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
                "reports": [report.to_dict() for report in swept.reports],
            }
        )
    else:
        for label in swept.ended:
            line(f"{'would end' if dry_run else 'ended'}: {label}")
        for report in swept.reports:
            line(f"tunnel {report.tunnel[:8]} (ticket {printable(report.ticket or '-')}):")
            show_report(report)
        for label in swept.kept:
            line(f"kept: {label}")
        if not (swept.ended or swept.kept or swept.failed):
            line("nothing to sweep")
    if swept.failed:
        what = "; ".join(f"{label}: {reason}" for label, reason in swept.failed)
        raise SupportTunnelError(
            "sweep.failed", f"could not be proved gone: {what}", next_step="Run `fab sweep` again."
        )


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
        bake_image,
        explain,
        connect,
        command,
        put,
        fetch,
        forward,
        stop,
        sweep,
        headscale_status,
        rehearse,
        converge,
    )
    collection.add_collection(api_tasks.namespace(), name="api")
    collection.add_collection(key_tasks.namespace(), name="key")
    collection.add_collection(tunnel_tasks.namespace(), name="tunnel")
    return collection
