"""Launch the tunnel server and make it ours: pinned host key, rotated at once, role applied, its own keys read back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from support_tunnel.core import addressing, ssh_key
from support_tunnel.core.errors import HostError, SupportTunnelError
from support_tunnel.core.names import Names
from support_tunnel.core.ports import LedgerEntry, Login, OpenPort, Server, ServerShell, ServerSpec
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.paths import SECOND_PORT, Transport, WireguardPath
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import guest, probes
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.record import LOGIN_KEY, LOGIN_USER, Reached

__all__ = [
    "LOGIN_USER",
    "MARGIN",
    "TAILSCALE_PORT",
    "Booted",
    "Launched",
    "apply_role",
    "boot",
    "launch",
    "open_ports",
    "server_variables",
]

ADDRESS_PATIENCE = 180.0
"""Seconds a cloud may take from accepting a server to its address."""
TAILSCALE_PORT = 41_641
"""UDP port of the server's own node, open to the device wherever that is; Tailscale's usual one."""
MARGIN = timedelta(minutes=10)
"""How long a server may outlive its tunnel before it ends itself."""


@dataclass(frozen=True, slots=True)
class Launched:
    server: Server
    shell: ServerShell
    """Logged in under the rotated host key."""
    wireguard_public: str
    reached: Reached

    @property
    def by_wireguard(self) -> list[WireguardPath]:
        """The ways to its WireGuard that its packet filter leaves open, for the answer."""
        address = f"[{self.server.address}]" if ":" in self.server.address else self.server.address
        return [WireguardPath(f"{address}:{port}", self.wireguard_public) for port in self.reached.udp_ports]


@dataclass(frozen=True, slots=True)
class Booted:
    server: Server
    shell: ServerShell
    """Logged in under the host key of the user-data, or of a machine that was there before."""
    login_private: Secret[str]
    host_key: str


def launch(
    ports: AdminPorts, code: Code, entry: LedgerEntry, transports: Sequence[Transport], *, coordinated: bool
) -> Launched:
    """From nothing to a server that only we can log in to, open to `transports` of WireGuard's and to nothing else.

    `coordinated`: it is to be a Headscale too, whose ports its cloud lets through then. Raises CloudError, HostError; the
    caller tears down.
    """
    port = 20_000 + secrets.randbelow(40_000)
    doors = {"wireguard": port, "wireguard-443": SECOND_PORT}
    udp_ports = tuple(number for name, number in doors.items() if name in transports)
    booted = boot(ports, entry, open_ports(udp_ports, coordinated=coordinated))
    server, shell, login_private = booted.server, booted.shell, booted.login_private
    reached = Reached(booted.host_key, port, code.network, udp_ports=udp_ports)
    if server.login is not None:
        return _as_guest(ports, entry, booted, replace(reached, guest_as=server.login.user))
    try:
        ports.progress.step("Applying the role tunnel_server, rotating the host key")
        apply_role(ports, shell, entry, reached, timeout=300)
        keys = probes.read(shell, probes.server_keys(), timeout=30)
    finally:
        shell.close()
    ports.progress.step("Second contact: under the server's own key")
    shell = ports.connector.connect(
        server.address, user=LOGIN_USER, private_key=login_private, host_key=keys["ssh"], timeout=30
    )
    return Launched(server, shell, keys["wireguard"], replace(reached, host_key=keys["ssh"]))


def boot(ports: AdminPorts, entry: LedgerEntry, doors: tuple[OpenPort, ...]) -> Booted:
    """From nothing to a login on a server that is as its user-data made it, or as it was before. Raises CloudError, HostError; the caller tears down."""
    # Here, with Jinja2: `fab stop` and `fab sweep` import this module as well.
    from support_tunnel.desired.user_data import render_user_data

    tunnel, names = entry.tunnel, Names(entry.tunnel)
    first_private, first_public = ssh_key.new_keypair("tunnel server, first minute")
    login_private, login_public = ssh_key.new_keypair(f"support-tunnel {names.short}")
    ports.vault.put(tunnel, LOGIN_KEY, Secret(login_private.reveal().encode()))
    ports.progress.step(f"Launching the tunnel server ({entry.cloud})")
    cloud = ports.clouds[entry.cloud]
    expires = entry.expires + MARGIN
    server = cloud.create(
        ServerSpec(
            name=names.server,
            open_ports=doors,
            user_data=render_user_data(
                ports.library.templates,
                host_key_private=first_private,
                host_key_public=first_public,
                login_user=LOGIN_USER,
                login_key=login_public,
                expires=expires,
            ),
            expires=expires,
            lifetime=int((expires - entry.created).total_seconds()),
            tags={"st-tunnel": tunnel, "st-owner": ports.owner, "st-expires": str(int(expires.timestamp()))},
        )
    )
    entry = replace(entry, stage="launched", server_id=server.id)
    ports.ledger.write(entry)
    server = server if server.address else _addressed(ports, entry)
    ports.ledger.write(replace(entry, server_address=server.address))

    if server.login is not None:
        return _log_in(ports, entry, server, server.login)

    ports.progress.step("First contact: the host key must be the one we made")
    try:
        shell = ports.connector.connect(
            server.address,
            user=LOGIN_USER,
            private_key=login_private,
            host_key=first_public,
            timeout=server.boot_seconds,
            first_contact=True,
        )
    except HostError:
        _tell_console(ports, entry.cloud, server)
        raise
    return Booted(server, shell, login_private, first_public)


def _log_in(ports: AdminPorts, entry: LedgerEntry, server: Server, login: Login) -> Booted:
    """To a machine that others keep: its own host key and login stay."""
    private = Secret(login.private_key.reveal().strip() + "\n")  # ssh itself reads no key without a line's end
    ports.vault.put(entry.tunnel, LOGIN_KEY, Secret(private.reveal().encode()))
    ports.progress.step("First contact: the host key must be the one that the inventory names")
    shell = ports.connector.connect(
        server.address, user=login.user, private_key=private, host_key=login.host_key, timeout=server.boot_seconds
    )
    return Booted(server, shell, private, login.host_key)


def _as_guest(ports: AdminPorts, entry: LedgerEntry, booted: Booted, reached: Reached) -> Launched:
    """There is no first key to rotate, and what the tunnel needs there is taken back at its end."""
    shell = booted.shell
    try:
        ports.progress.step("Applying the role tunnel_guest")
        apply_role(ports, shell, entry, reached, timeout=300)
        keys = probes.read(shell, guest.guest_keys(Names(entry.tunnel).short), timeout=30)
    except BaseException:
        shell.close()
        raise
    return Launched(booted.server, shell, keys["wireguard"], reached)


def apply_role(
    ports: AdminPorts,
    shell: ServerShell,
    entry: LedgerEntry,
    reached: Reached,
    peer: Mapping[str, object] | None = None,
    *,
    timeout: float,
) -> None:
    """Make the server what its role says, `peer` included once there is one. Raises HostError."""
    role, undo = (
        ("tunnel_guest", guest.journal(Names(entry.tunnel).short)) if reached.guest_as else ("tunnel_server", None)
    )
    variables = server_variables(entry, reached) | dict(peer or {})
    ports.library.converge(shell, (role,), variables, host="the tunnel server", timeout=timeout, undo=undo)


def open_ports(udp_ports: Sequence[int], *, coordinated: bool) -> tuple[OpenPort, ...]:
    """What the cloud lets through to the server: the same that the server's own packet filter does (role tunnel_server)."""
    headscale = (OpenPort("tcp", 443), OpenPort("udp", 3_478), OpenPort("udp", TAILSCALE_PORT))
    wireguard = tuple(OpenPort("udp", port) for port in udp_ports)
    return (OpenPort("tcp", 22), *wireguard, *(headscale if coordinated else ()))


def server_variables(entry: LedgerEntry, reached: Reached) -> dict[str, object]:
    """Variables of the role tunnel_server, without the peer that it gets just before the answer is posted."""
    expires = entry.expires + MARGIN
    return {
        "tunnel_server_short": Names(entry.tunnel).short,
        "tunnel_server_address": str(addressing.server_address(reached.network)),
        "tunnel_server_device_address": str(addressing.device_address(reached.network)),
        "tunnel_server_session_port": addressing.SESSION_PORT,
        "tunnel_server_port": reached.wireguard_port,
        "tunnel_server_by_wireguard": bool(reached.udp_ports),
        "tunnel_server_second_port": SECOND_PORT if SECOND_PORT in reached.udp_ports else 0,
        "tunnel_server_login_user": LOGIN_USER,
        "tunnel_server_expires": int(expires.timestamp()),
        # For the timer that no wrong clock can stretch.
        "tunnel_server_lifetime_seconds": int((expires - entry.created).total_seconds()),
        "tunnel_server_headscale_device_address": str(addressing.device_address(addressing.TAILNET))
        if reached.authority
        else "",
        "tunnel_server_tailscale_port": TAILSCALE_PORT,
    }


def _tell_console(ports: AdminPorts, cloud: str, server: Server) -> None:
    """Why it did not come may stand there, and it is about to be ended. Where the cloud cannot say, that is no further trouble."""
    with suppress(SupportTunnelError):
        for line in ports.clouds[cloud].console(server.id):
            ports.progress.note(f"On the server's console: {line}")


def _addressed(ports: AdminPorts, entry: LedgerEntry) -> Server:
    """A server that the list does not show is one that it does not show yet."""
    cloud = ports.clouds[entry.cloud]

    def look() -> Server | None:
        seen = cloud.server(entry.server_id)
        return seen if seen and seen.address else None

    what = "an address for the tunnel server"
    return wait_for(look, what=what, seconds=ADDRESS_PATIENCE, clock=ports.clock, longest_pause=3)
