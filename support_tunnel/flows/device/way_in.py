"""The ways to the tunnel server that an answer names, as roles of this device: which one, with what, and whether it got through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from support_tunnel.core import addressing
from support_tunnel.core.errors import HostError
from support_tunnel.core.names import Names
from support_tunnel.core.st1.device_session import DeviceSession
from support_tunnel.core.st1.paths import HeadscalePath, Path, WireguardPath
from support_tunnel.desired import probes, tailnet_probes
from support_tunnel.flows.device.check_device import require_tailscale
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.request import Requested

__all__ = ["WayIn", "way_in"]


@dataclass(frozen=True, slots=True)
class WayIn:
    """A path of the answer on this device. `number` is its place in the answer, as READY names it."""

    number: int
    path: Path
    network: IPv6Network
    """Where the two ends have their addresses."""
    address: IPv6Address | None
    """This device's own there; None until it has joined a network that others share, whose server gives it out."""
    sources: tuple[str, ...]
    """From where the admin logs in."""
    role: str
    variables: dict[str, object]

    @property
    def words(self) -> str:
        path = self.path
        return "through a Headscale server" if isinstance(path, HeadscalePath) else f"by WireGuard on UDP {path.port}"

    @property
    def patience(self) -> float:
        """Seconds for both ends to meet where another way is left: WireGuard asks a second time after five."""
        return 8.0 if isinstance(self.path, WireguardPath) else 15.0

    def how(self, way: str) -> str:
        """In words, what `got_through` said."""
        return WAYS.get(way, self.words)

    def once_up(self, ports: DevicePorts, names: Names) -> WayIn:
        """For applying its role again where it is up: with its key, a node would join anew, and a key is good for once.

        And with the address that it has been given. Raises HostError `headscale.address`.
        """
        if isinstance(self.path, WireguardPath):
            return self
        address = self.address or _given_address(ports, names)
        return replace(self, address=address, variables=self.variables | {"tailscale_node_key": ""})

    def got_through(self, ports: DevicePorts, names: Names) -> str | None:
        """`udp`, `udp-443`, `direct` or `relay`, once both ends have met; None while they have not. In a network that others share
        whoever is there is met, and `alone` is enough: the server has the device, and helpers may come later.

        Raises HostError `session.lost` when it is gone.
        """
        if isinstance(self.path, WireguardPath):
            found = probes.read(ports.shell, probes.handshake(names), timeout=10)
        elif self.path.shared:
            found = probes.read(ports.shell, tailnet_probes.tailnet_company(names, ports.tailscale), timeout=20)
        else:
            peer = addressing.server_address(self.network)
            found = probes.read(ports.shell, tailnet_probes.tailnet_way(names, ports.tailscale, peer), timeout=20)
        if "gone" in found:
            # Stopped meanwhile: whoever stopped it waits for us to let go.
            raise HostError("session.lost", "the session ended while it was being opened", next_step="Ask again.")
        if isinstance(self.path, WireguardPath):
            return self.path.way if "handshake" in found else None
        return found["way"] if found.get("way") in WAYS else None

    @contextmanager
    def explained(self, ports: DevicePorts, names: Names) -> Iterator[None]:
        """Around applying its role. Raises HostError `headscale.late` in place of a failed join whose key was no longer good."""
        try:
            yield
        except HostError as failed:
            if isinstance(self.path, HeadscalePath) and failed.code == "converge.failed":
                _refuse_late(ports, names, failed)
            raise


def _refuse_late(ports: DevicePorts, names: Names, failed: HostError) -> None:
    try:
        said = probes.read(ports.shell, tailnet_probes.join_refused(names), timeout=10).get("refused", "")
    except HostError:
        return  # what went wrong first is said
    if "authkey expired" in said:
        raise HostError(
            "headscale.late",
            "the answer's key for the helper's network is good for 15 minutes, and they were over",
            next_step="Ask again, and take the answer up sooner; or use --transport auto, whose ways by WireGuard have no such end.",
        ) from failed


WAYS: Final = {
    "direct": "through a Headscale server, directly by UDP",
    "relay": "through a Headscale server, by its relay: UDP does not get through",
    "alone": "to the Headscale server: joined; nobody is connected yet",
}


def _given_address(ports: DevicePorts, names: Names) -> IPv6Address:
    """It goes into the settings of the session's sshd, and who gave it may be hostile: one of Tailscale's own range or none."""
    found = probes.read(ports.shell, tailnet_probes.tailnet_address(names, ports.tailscale), timeout=20)
    address = addressing.node_address(found.get("address", ""))
    if address is None:
        raise HostError(
            "headscale.address",
            "the Headscale server gave this device no address that is one of its network",
            next_step="Ask your helper to have that server looked at, then ask again.",
        )
    return address


def way_in(ports: DevicePorts, requested: Requested, session: DeviceSession, number: int) -> WayIn:
    """Raises UsageError `headscale.programs` where this device lacks Tailscale's programs."""
    path = session.answer.paths[number]
    network = addressing.network_along(path.transport, requested.offer.network)
    sources = addressing.sources_along(path, requested.offer.network)
    own = addressing.device_address(network)
    if isinstance(path, WireguardPath):
        variables: dict[str, object] = {
            "device_tunnel_private_key": requested.wireguard_private,
            "device_tunnel_psk": session.psk_base64,
            "device_tunnel_server_public_key": path.wireguard_public,
            "device_tunnel_server_endpoint": path.endpoint,
        }
        return WayIn(number, path, network, own, sources, "device_tunnel", variables)
    require_tailscale(ports)
    return WayIn(
        number,
        path,
        network,
        None if path.shared else own,
        sources,
        "tailscale_node",
        {
            "tailscale_node_programs": ports.tailscale,
            "tailscale_node_server_url": path.control,
            "tailscale_node_authority": path.authority_pem,
            "tailscale_node_key": path.join_key,
            "tailscale_node_ports": [addressing.SESSION_PORT],
        },
    )
