"""Verbs by which an owner asks for support and lets somebody in: in one go, or one step at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.called import as_called
from support_tunnel.cli.device.ready import LONGEST_WAIT, ready, within
from support_tunnel.cli.device.wish import Asked
from support_tunnel.cli.flags import words
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import ConsentRefused, SupportTunnelError, UsageError

if TYPE_CHECKING:
    from support_tunnel.cli.device.settings import DeviceSettings
    from support_tunnel.core.names import TunnelId
    from support_tunnel.flows.device.connect import Tried
    from support_tunnel.flows.device.let_in import Connected
    from support_tunnel.flows.device.ports import DevicePorts

__all__ = ["approve", "connect", "connect_approved_tunnels", "request", "request_and_connect_tunnel"]

_JSON: Final = "one line of JSON a result, for programs"
_ANSWERS: Final = words(Asked)["answers-on-stdin"]
_TUNNEL: Final = "its id, or the first 8 digits or more (default: the only one that waits)"


@verb(aliases=("request-and-connect",), asked=Asked, without=("approve_in_advance",))
def request_and_connect_tunnel(c: Context, asked: Asked) -> None:
    """Ask for support: show a code, ask you, connect.

    The code is for your helper. You are asked before anybody is let in.
    """
    from support_tunnel.cli.device.wiring import keeper_command
    from support_tunnel.flows.device.request_and_connect import request_and_connect as flow

    asked.check()
    settings, ports = _ready(asked.answers_on_stdin, asked.json)
    handing = asked.handing()
    try:
        with _said(ports, json=asked.json):
            connected = flow(ports, asked.wish(settings), keeper=keeper_command(settings), hand_over=handing.show)
    finally:
        handing.forget()
    _connected(connected, json=asked.json)


@verb(
    asked=Asked,
    without=("answers_on_stdin",),
    flags={"wait": "minutes until the request ends when nobody was let in (default 60)"},
)
def request(c: Context, asked: Asked) -> None:
    """Ask for support and leave; the request waits.

    Go on with connect or approve; stop takes it back.
    """
    from support_tunnel.cli.device.wiring import keeper_command
    from support_tunnel.flows.device.request_and_leave import request_and_leave as flow

    asked.check()
    settings, ports = _ready(False, asked.json)
    handing = asked.handing()
    try:
        with _said(ports, json=asked.json):
            tunnel = flow(ports, asked.wish(settings), keeper=keeper_command(settings), hand_over=handing.show)
    except BaseException:
        handing.forget()
        raise
    if not asked.json:
        next_step = "inv connect-approved-tunnels" if asked.approve_in_advance else f"inv connect {tunnel[:8]}"
        sys.stderr.write(f"When your helper has answered: {next_step}\n")


@verb(
    optional_id=True,
    flags={
        "tunnel": _TUNNEL,
        "wait": "minutes to wait for the answer (default: as long as the request itself)",
        "answers-on-stdin": _ANSWERS,
        "json": _JSON,
    },
)
def connect(c: Context, tunnel: str = "", wait: int = 0, answers_on_stdin: bool = False, json: bool = False) -> None:
    """Wait for the answer to a request, ask you, open.

    Without an id: the only request that waits.
    """
    if wait:
        within("wait", wait, 1, LONGEST_WAIT)
    _go_on(tunnel, wait=wait * 60 if wait else 24 * 3600, answers_on_stdin=answers_on_stdin, json=json)


@verb(optional_id=True, flags={"tunnel": _TUNNEL, "answers-on-stdin": _ANSWERS, "json": _JSON})
def approve(c: Context, tunnel: str = "", answers_on_stdin: bool = False, json: bool = False) -> None:
    """See who has answered, say yes or no, open.

    Waits for nobody. Without an id: the only request that waits.
    """
    _go_on(tunnel, wait=0, answers_on_stdin=answers_on_stdin, json=json)


@verb(flags={"json": _JSON})
def connect_approved_tunnels(c: Context, json: bool = False) -> None:
    """Open what was answered and approved before.

    Approved by you or by the device's policy. Asks nobody; for a timer.
    """
    from support_tunnel.cli.device.wiring import keeper_command
    from support_tunnel.flows.device.connect import connect_approved

    settings, ports = _ready(False, json)
    try:
        tried = connect_approved(ports, keeper=keeper_command(settings))
    finally:
        ports.progress.end()
    if json:
        emit([_row(one) for one in tried])
    elif not tried:
        line("no request waits")
    for one in () if json else tried:
        line(f"{one.tunnel[:8]} {_outcome(one)}")
    failed = [one.error for one in tried if one.state == "failed" and one.error]
    if failed:
        raise failed[0]


def _go_on(tunnel: str, *, wait: float, answers_on_stdin: bool, json: bool) -> None:
    from support_tunnel.cli.device.tunnel_choice import the_one
    from support_tunnel.cli.device.wiring import keeper_command
    from support_tunnel.flows.device.clean_up import known_tunnels
    from support_tunnel.flows.device.connect import connect as flow
    from support_tunnel.flows.device.keep_request import waiting_requests

    settings, ports = _ready(answers_on_stdin, json)
    one: TunnelId = the_one(tunnel, known_tunnels(ports), waiting_requests(ports))
    with _said(ports, json=json):
        connected = flow(ports, one, keeper=keeper_command(settings), wait=wait)
    _connected(connected, json=json)


def _ready(answers_on_stdin: bool, json: bool) -> tuple[DeviceSettings, DevicePorts]:
    from support_tunnel.adapters.prompt_lines import LinesPrompt

    if answers_on_stdin and not json:
        raise UsageError("usage.json", "--answers-on-stdin goes with --json: a program has to read the questions")
    return ready(LinesPrompt(emit, sys.stdin.fileno()) if answers_on_stdin else None)


@contextmanager
def _said(ports: DevicePorts, *, json: bool) -> Iterator[None]:
    """A refusal is a screen of its own, before the error's line."""
    from support_tunnel.core.owner_screens import refused

    try:
        yield
    except ConsentRefused as no:
        ports.progress.end()
        if not json:
            sys.stderr.write("\n" + refused(no.message) + "\n")
        raise
    finally:
        ports.progress.end()


def _connected(connected: Connected, *, json: bool) -> None:
    from support_tunnel.core.owner_screens import active

    opened, consent = connected.opened, connected.consent
    if json:
        emit(
            {
                "event": "connected",
                "admin": consent.name,
                "fingerprint": consent.fingerprint,
                "helpers": [helper.shown() for helper in consent.helpers],
                "scope": str(consent.scope.level),
                "until": opened.until,
                "user": opened.user,
                "transport": opened.transport,
                "way": opened.way,
                "how": opened.how,
            }
        )
        return
    line(f"connected: {consent.name} until {_local(opened.until)}")
    sys.stderr.write("\n" + active(consent.name, consent.scope, until=opened.until, helpers=consent.helpers))


def _row(one: Tried) -> dict[str, object]:
    error: SupportTunnelError | None = one.error
    return {
        "tunnel_id": one.tunnel,
        "state": one.state,
        "until": one.connected.opened.until if one.connected else None,
        "error": {"code": error.code, "message": error.message} if error and one.state == "failed" else None,
    }


def _outcome(one: Tried) -> str:
    if one.connected:
        return f"connected: {one.connected.consent.name} until {_local(one.connected.opened.until)}"
    if one.state == "asks":
        return as_called(f"asks for your yes: inv approve {one.tunnel[:8]}")
    return f"failed: {one.error.message}" if one.error and one.state == "failed" else "waiting: nobody has answered yet"


def _local(when: datetime) -> str:
    return when.astimezone().strftime("%H:%M")
