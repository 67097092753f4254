"""Verbs of the device: what `inv --list` shows to an owner."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.device_doctor import doctor
from support_tunnel.cli.device_install import install, uninstall
from support_tunnel.cli.device_lists import detail_all_tunnels, list_all_tunnels, list_running_tunnels
from support_tunnel.cli.output import emit, line, shows_pictures, stdout_is_journal
from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId

__all__ = ["namespace"]

_JSON = "one line of JSON a result, for programs"


@verb(
    aliases=("request-and-connect",),
    iterable=("port",),
    flags={
        "ttl": "minutes the helper may stay at most (default 30, at most 480)",
        "name": "how this device is called on the helper's screen (default: its host name)",
        "wait": "minutes to wait for a helper before giving up (default 60)",
        "files": "also offer to copy files both ways",
        "port": "also offer this TCP port of the device's own (127.0.0.1); may be given more than once",
        "code-file": "also write the code into this new file (0600)",
        "phone": "a code of 13 words, to be read over the phone",
        "qr": "also show the code as a QR, for a helper's camera",
        "json": _JSON,
    },
)
def request_and_connect_tunnel(
    c: Context,
    ttl: int = 30,
    name: str = "",
    wait: int = 60,
    code_file: str = "",
    phone: bool = False,
    qr: bool = False,
    files: bool = False,
    port: Sequence[str] | None = None,
    json: bool = False,
) -> None:
    """Ask for support: show a code for your helper, ask you before anybody is let in, and open the tunnel."""
    from support_tunnel.adapters.hook_scripts import HookScripts
    from support_tunnel.cli.device_settings import load_device_settings
    from support_tunnel.cli.handing_over import Handing
    from support_tunnel.cli.wiring_device import device_ports, keeper_command
    from support_tunnel.core.scope import Scope
    from support_tunnel.flows.device.request import Wish
    from support_tunnel.flows.device.request_and_connect import request_and_connect

    _within("ttl", ttl, 1, 480)
    _within("wait", wait, 1, 24 * 60)
    scope = Scope("shell", tuple(_port(text) for text in port or ()), files)
    if stdout_is_journal(os.environ) and not code_file:
        raise UsageError(
            "code.journal",
            "stdout is the journal, where a code must not be written",
            next_step="Give --code-file PATH.",
        )
    if qr and (json or not shows_pictures(os.environ)):
        raise UsageError(
            "qr.terminal",
            "a QR is drawn only on a terminal that shows UTF-8 and colours, and not with --json",
            next_step="Leave --qr out, or run it in such a terminal.",
        )
    settings = load_device_settings(os.environ)
    HookScripts(settings.hooks).check()
    ports = device_ports(settings)
    handing = Handing(
        file=Path(code_file) if code_file else None,
        as_json=json,
        to_stdout=not stdout_is_journal(os.environ),
        as_qr=qr,
    )
    wish = Wish(scope=scope, ttl=ttl * 60, name=name or settings.name, patience=wait * 60, phone=phone)
    try:
        connected = request_and_connect(ports, wish, keeper=keeper_command(settings), hand_over=handing.show)
    finally:
        handing.forget()
        ports.progress.end()
    opened, consent = connected.opened, connected.consent
    if json:
        emit(
            {
                "event": "connected",
                "admin": consent.name,
                "fingerprint": consent.fingerprint,
                "scope": str(consent.scope.level),
                "until": opened.until,
                "user": opened.user,
            }
        )
    else:
        line(f"connected: {consent.name} until {_local(opened.until)}")
        sys.stderr.write("End it at any moment: inv stop\n")


@verb(flags={"json": _JSON})
def status(c: Context, json: bool = False) -> None:
    """Show whether anybody is let in, who, and until when."""
    from support_tunnel.cli.wiring_device import ending_ports
    from support_tunnel.flows.device import status as flow

    rows = flow.status(ending_ports())
    if json:
        emit(
            [
                {
                    "tunnel_id": row.tunnel,
                    "state": row.state,
                    "admin": row.admin,
                    "scope": row.scope,
                    "until": row.until,
                }
                for row in rows
            ]
        )
    elif not rows:
        line("closed: nobody is let in, and no request is waiting")
    for row in () if json else rows:
        until = f", until {_local(row.until)}" if row.until else ""
        line(f"{row.state}: {row.tunnel[:8]} {row.admin or '(nobody yet)'}{until}")
    if rows and not json:
        sys.stderr.write("End it at any moment: inv stop\n")


@verb(optional_id=True, flags={"tunnel": "only this one: its id, or the first 8 digits or more", "json": _JSON})
def stop(c: Context, tunnel: str = "", json: bool = False) -> None:
    """End every session and request on this device at once. Works offline."""
    from support_tunnel.cli.wiring_device import ending_ports
    from support_tunnel.flows.device.clean_up import known_tunnels
    from support_tunnel.flows.device.end_session import stop_all

    ports = ending_ports()
    tunnels = _chosen(tunnel, known_tunnels(ports)) if tunnel else known_tunnels(ports)
    stop_all(ports, tunnels, "the owner ended it")
    if json:
        emit({"stopped": [str(one) for one in tunnels]})
    else:
        line(f"closed: ended {len(tunnels)}" if tunnels else "closed: there was nothing to end")


@verb(flags={"json": _JSON})
def gc(c: Context, json: bool = False) -> None:
    """End what nobody watches any more (after a crash or a power cut); a live session is left alone."""
    from support_tunnel.cli.wiring_device import ending_ports
    from support_tunnel.flows.device.clean_up import clean_up

    ended = clean_up(ending_ports())
    if json:
        emit({"ended": [str(tunnel) for tunnel in ended]})
    else:
        line(f"ended {len(ended)} orphaned" if ended else "nothing to clean up")


def _chosen(given: str, known: list[TunnelId]) -> list[TunnelId]:
    """The first 8 digits decide: every name on the device is made of them."""
    wanted = given.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{8,32}", wanted):
        raise UsageError("tunnel.id", "a tunnel is named by its id of 32 hex digits, or the first 8 or more of it")
    found = [one for one in known if one.startswith(wanted[:8])]
    if not found:
        raise WrongState(
            "tunnel.unknown",
            f"there is no request or session {wanted[:8]} on this device",
            next_step="See what there is with `inv status`.",
        )
    return found


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UsageError("usage.range", "--port is a number from 1 to 65535")
    return int(text)


def _within(flag: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise UsageError("usage.range", f"--{flag} is from {least} to {most} minutes")


def _local(when: datetime) -> str:
    return when.astimezone().strftime("%H:%M")


def namespace() -> Collection:
    """The collection that tasks.py names."""
    return Collection(
        request_and_connect_tunnel,
        status,
        stop,
        gc,
        list_all_tunnels,
        list_running_tunnels,
        detail_all_tunnels,
        doctor,
        install,
        uninstall,
    )
