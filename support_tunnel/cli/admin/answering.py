"""Answer an owner's code, as `create-tunnel-server` and `tunnel.create` do: what both are told, and what both print."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from support_tunnel.cli.flags import flag
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import UsageError

if TYPE_CHECKING:
    from support_tunnel.core.names import TunnelId
    from support_tunnel.core.st1.people import Helper
    from support_tunnel.flows.admin.create_server import Where
    from support_tunnel.flows.admin.finish import Answered
    from support_tunnel.flows.admin.ports import AdminPorts

__all__ = ["Asked", "answer", "connected", "read_aloud"]

KEYS: Final = "~/.config/support_tunnel/helpers"
"""Where NAME.pub is looked for when a helper is given by name alone."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The flags of both verbs, as they were given."""

    preshared_key: str = flag(
        "",
        "the owner's code: - (stdin), file:PATH, env:NAME, or the code itself (visible to others); asked for if absent",
    )
    tunnel_id: str = flag("", "checked against the code when given")
    cloud: str = flag("", "where its server comes from: one of `clouds` in the inventory (default: `cloud` there)")
    minutes: int = flag(
        0, "stay at most this long (default: tunnel_minutes of the inventory, 30), never longer than the owner offers"
    )
    wait: int = flag(30, "let the owner take up the answer within so many minutes, 5 to 1440 (default 30)")
    ticket: str = flag("", "your case number; helpers of one ticket reach its devices and no others")
    server: str = flag(
        "", "own or standing (default: standing where the inventory names one and the owner offers headscale)"
    )
    helper: Sequence[str] = flag(
        (), f"NAME=KEY.pub of somebody who may come too, by Headscale; NAME alone: {KEYS}/NAME.pub; several times"
    )
    port: Sequence[str] = flag((), "narrow the offered ports to this one (several times)")
    helper_files: str = flag(
        "", "folder for what helpers are handed (default: with the tunnel's secrets, where it ends with the tunnel)"
    )
    allow_classical: bool = flag(False, "accept a device without ML-KEM")
    allow_classical_ssh: bool = flag(False, "accept a server or device whose ssh has no post-quantum key exchange")
    allow_skew: bool = flag(False, "accept a device whose clock is more than a day off")
    json: bool = flag(False, "one line of JSON a result, for programs")


def answer(asked: Asked) -> None:
    """From the code to the connection. Raises UsageError for flags that are wrong, before anybody is asked anything."""
    from support_tunnel.adapters.local_cloud import require_linux
    from support_tunnel.adapters.terminal import TerminalPrompt
    from support_tunnel.cli.admin.code_entry import owners_code
    from support_tunnel.cli.admin.invitations import require_folder
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.core.names import parse_tunnel_id
    from support_tunnel.flows.admin.create_server import Terms, create_server
    from support_tunnel.flows.admin.ports import AcceptedRisks
    from support_tunnel.flows.admin.unfinished import unfinished

    where = _where(asked.server, asked.cloud)
    helpers = [_helper(text) for text in asked.helper]
    only = [_port(text) for text in asked.port]
    if helpers and asked.helper_files:
        require_folder(asked.helper_files)
    if asked.minutes < 0:
        raise UsageError("usage.range", "--minutes is a positive number")
    if not 5 <= asked.wait <= 24 * 60:
        raise UsageError("usage.range", "--wait is from 5 to 1440 minutes", next_step="Give a number from 5 to 1440.")
    chosen = load_admin_settings(os.environ, cloud=asked.cloud)
    accepted = AcceptedRisks(classical=asked.allow_classical, skew=asked.allow_skew)
    ports = admin_ports(chosen, accepted=accepted, allow_classical_ssh=asked.allow_classical_ssh)
    code = owners_code(asked.preshared_key, refuse_argv=chosen.refuse_code_on_argv, prompt=TerminalPrompt())
    if asked.tunnel_id and parse_tunnel_id(asked.tunnel_id) != code.tunnel:
        raise UsageError(
            "code.mismatch",
            "the tunnel id is not the one of this code",
            next_step="Leave -t out, or take both lines from the same request.",
        )
    # Both before the request is answered: one that is broken off costs the owner a new code.
    local = require_linux if ports.cloud == "local" else lambda: None
    if where == "own" or (where == "either" and ports.standing() is None):
        local()

    try:
        for said in unfinished(ports):
            ports.progress.note(said)
        answered = create_server(
            ports,
            code,
            Terms(
                chosen.display_name,
                max_ttl=asked.minutes * 60 or None,
                ticket=asked.ticket,
                patience=asked.wait * 60,
                server=where,
                helpers=helpers,
                only_ports=only or None,
            ),
            require_own=local,
            read_aloud=lambda digits: read_aloud(ports, digits, as_json=asked.json),
        )
    finally:
        ports.progress.end()
    connected(ports, code.tunnel, answered, helper_files=asked.helper_files, as_json=asked.json)


def read_aloud(ports: AdminPorts, digits: str, *, as_json: bool) -> None:
    ports.progress.note(f"Read these digits to the owner: {digits[:3]} {digits[3:]}")
    if as_json:
        emit({"event": "digits", "digits": digits})


def connected(ports: AdminPorts, tunnel: TunnelId, answered: Answered, *, helper_files: str, as_json: bool) -> None:
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
        line(f"connected: {answered.device} as {answered.user} until {answered.until.astimezone().strftime('%H:%M')}")
        if answered.way == "udp-443":
            sys.stderr.write("It goes by UDP 443: the server's own port does not get through to the device.\n")
        if answered.way == "relay":
            sys.stderr.write("It goes through the server's relay: UDP does not get through to the device.\n")
        sys.stderr.write(f"A terminal: fab connect {short}    One command: fab command {short} 'uptime'\n")
        sys.stderr.write(f"End it and remove what is there of it: fab stop {short}\n")
    _hand_out(ports, answered, helper_files, as_json=as_json)


def _hand_out(ports: AdminPorts, answered: Answered, folder: str, *, as_json: bool) -> None:
    from support_tunnel.cli.admin.invitations import lay_down

    for invitation in answered.invitations:
        files = [str(path) for path in lay_down(ports.vault, invitation, folder)]
        if as_json:
            emit({"event": "helper", "name": invitation.name, "files": files, "lines": invitation.lines})
        else:
            line("")
            line(f"# Give {invitation.name}, by a way that others do not read: {' '.join(files)}")
            line(invitation.lines.rstrip())


def _where(server: str, cloud: str) -> Where:
    """A cloud that is named is where a server of the tunnel's own comes from."""
    if server not in ("", "own", "standing"):
        raise UsageError("usage.server", "--server is own or standing")
    if server == "standing" and cloud:
        raise UsageError(
            "usage.server", "a standing server comes from no cloud", next_step="Leave out --cloud or --server standing."
        )
    return "own" if server == "own" or cloud else "standing" if server else "either"


def _helper(text: str) -> Helper:
    """Raises UsageError `key.login`, `helper.key`."""
    from support_tunnel.core import login_key
    from support_tunnel.core.st1.people import Helper

    name, given, file = text.partition("=")
    path = Path(file if given else f"{KEYS}/{name}.pub").expanduser()
    try:
        public = path.read_text()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is not a text file"
        raise UsageError(
            "helper.key",
            f"the public key of helper {name!r} cannot be read: {path}: {reason}",
            next_step="Give it as --helper NAME=KEY.pub.",
        ) from None
    return Helper(name, login_key.read_file(public))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise UsageError("port.value", f"{text!r} is no port", next_step="Give a number from 1 to 65535.")
    return int(text)
