"""A server of this tunnel's own as the place to meet: launched for it, gone with it."""

from __future__ import annotations

from collections.abc import Sequence

from support_tunnel.core import addressing
from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.invitation import Invitation
from support_tunnel.core.ports import Hops, LedgerEntry, ServerShell, ThroughServer
from support_tunnel.core.st1.admin import AdminOffer, AdminSession
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.paths import WireguardPath
from support_tunnel.core.st1.payloads import Path, Ready
from support_tunnel.core.st1.people import Helper
from support_tunnel.flows.admin.coordinate import control_url, coordinate, invite, way_to_device
from support_tunnel.flows.admin.launch import apply_role, launch
from support_tunnel.flows.admin.meeting import Settled, over_at
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.record import Reached

__all__ = ["OwnServer", "set_up"]


class OwnServer:
    """`meeting.Meeting` over a shell on the server, which `close` ends."""

    def __init__(self, ports: AdminPorts, entry: LedgerEntry, reached: Reached, shell: ServerShell) -> None:
        self._ports = ports
        self._entry = entry
        self._shell = shell
        self.reached = reached

    def prepare(self, session: AdminSession) -> None:
        """Before the answer is out: a device whose first handshake finds no key waits five seconds for the next
        (docs/decisions/0002). The key is worth nothing until a device confirms this very answer.
        """
        if all(path.transport != "wireguard" for path in session.answer.paths):
            return
        self._ports.progress.step("Handing the tunnel's key to the server")
        peer = {
            "tunnel_server_peer_public_key": session.offer.wireguard_public,
            "tunnel_server_peer_psk": session.psk_base64,
        }
        apply_role(self._ports, self._shell, self._entry, self.reached, peer, timeout=60)

    def hops(self, session: AdminSession, ready: Ready) -> Hops:
        network = addressing.network_along(session.answer.paths[ready.path].transport, self.reached.network)
        return Hops(
            ThroughServer(self._entry.server_address, self.reached.user, self.reached.host_key),
            device_address=str(addressing.device_address(network)),
            device_port=addressing.SESSION_PORT,
            device_user=ready.user,
            device_host_key=session.offer.ssh_host_key,
        )

    def settled(self, session: AdminSession, ready: Ready) -> Settled:
        path = session.answer.paths[ready.path]
        if isinstance(path, WireguardPath):
            return Settled(path.way)
        way = way_to_device(self._ports, self._entry, self._shell)
        try:
            return Settled(way, self._invitations(session, ready))
        except SupportTunnelError as trouble:
            self._ports.progress.note(f"There is no key for your helpers: {trouble.message}.")
            return Settled(way)

    def close(self) -> None:
        self._shell.close()

    def _invitations(self, session: AdminSession, ready: Ready) -> tuple[Invitation, ...]:
        if not session.answer.helpers:
            return ()
        keys = invite(self._ports, self._entry, self.reached, self._shell, session.answer)
        return tuple(
            Invitation(
                tunnel=self._entry.tunnel,
                name=name,
                control=control_url(self._entry.server_address),
                authority=self.reached.authority,
                key=key,
                address=str(addressing.device_address(addressing.TAILNET)),
                user=ready.user,
                host_key=session.offer.ssh_host_key,
                until=over_at(session, ready, self._entry.expires),
            )
            for name, key in keys.items()
        )


def set_up(
    ports: AdminPorts, code: Code, entry: LedgerEntry, offer: AdminOffer, helpers: Sequence[Helper]
) -> tuple[OwnServer, tuple[Path, ...]]:
    """From nothing to a server with the ways that the owner offered, WireGuard first: it has the preshared key, and needs no third
    program. With helpers beside the admin by Headscale alone. Raises CloudError, HostError, CoordinatorError, UsageError.
    """
    coordinated = bool(helpers) or with_headscale(ports, entry.cloud, offer)
    launched = launch(ports, code, entry, offer.offer.transports, coordinated=coordinated)
    try:
        paths: list[Path] = [] if helpers else [*launched.by_wireguard]
        if coordinated:
            launched, path = coordinate(ports, entry, launched, helpers)
            paths.append(path)
        written = ports.ledger.read(entry.tunnel)
        return OwnServer(ports, written or entry, launched.reached, launched.shell), tuple(paths)
    except BaseException:
        launched.shell.close()
        raise


def with_headscale(ports: AdminPorts, cloud: str, offer: AdminOffer) -> bool:
    """Whether the server is to be a Headscale: the owner offered it, and there is no other way or this one can be made."""
    offered = offer.offer.transports
    if "headscale" not in offered or set(offered) == {"headscale"}:
        return "headscale" in offered
    if ports.programs() is None:
        return False
    if ports.clouds[cloud].only_wireguard:
        ports.progress.note(
            "The owner offers Headscale too, but a server that others keep is made no Headscale server. Answering by WireGuard alone."
        )
        return False
    return True
