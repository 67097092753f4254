"""Make the tunnel server the Headscale server of its one tunnel, and the first node of its network; take the network apart again.

The network knows two nodes and lets one of them open one port of the other. Whoever holds this server gains that reachability and no
login (2.15). An API key lives for minutes: at the end there is a new one, asked for over ssh as the first was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from support_tunnel.core import addressing
from support_tunnel.core.errors import CloudError, CoordinatorError, HostError, UsageError
from support_tunnel.core.names import Names
from support_tunnel.core.ports import Coordinator, LedgerEntry, Node, ServerShell
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.paths import HeadscalePath
from support_tunnel.core.st1.payloads import Answer
from support_tunnel.core.st1.people import Helper
from support_tunnel.core.tailnet import Passage, label, write_policy
from support_tunnel.desired import probes, tailnet_probes
from support_tunnel.flows.admin.launch import MARGIN, TAILSCALE_PORT, Launched, server_variables
from support_tunnel.flows.admin.meeting import HELPER, INVITED_SECONDS, helper_labels
from support_tunnel.flows.admin.ports import AdminPorts, Programs
from support_tunnel.flows.admin.record import Reached

__all__ = [
    "JOIN_SECONDS",
    "OWN_JOIN_SECONDS",
    "control_url",
    "coordinate",
    "dissolve",
    "for_two_nodes",
    "invite",
    "require_coordinating",
    "require_programs",
    "way_to_device",
]

JOIN_SECONDS: Final = 900
"""How long the device may take from the answer to its join: reading, digits and consent (2.15)."""
API_KEY_SECONDS: Final = 300
OWN_JOIN_SECONDS: Final = 120
SKEW: Final = timedelta(hours=25)
"""A device's clock may be a day off (`device.clock`), and judges the certificate."""


def coordinate(
    ports: AdminPorts, entry: LedgerEntry, launched: Launched, helpers: Sequence[Helper] = ()
) -> tuple[Launched, HeadscalePath]:
    """From a server that is ours to one whose network waits for the device. Raises HostError, CoordinatorError, UsageError."""
    from support_tunnel.core.private_authority import vouch_for  # here: most sessions have no certificate

    programs, names, shell = require_programs(ports), Names(entry.tunnel), launched.shell
    now, address = ports.clock.now(), launched.server.address
    made = vouch_for(address, begins=now - SKEW, ends=entry.expires + MARGIN + SKEW)
    reached = replace(launched.reached, authority=made.authority_pem)
    url = control_url(address)
    ports.progress.step("Starting Headscale on the tunnel server")
    ports.library.converge(
        shell,
        ("tunnel_server", "headscale"),
        server_variables(entry, reached)
        | {
            "headscale_server_url": url,
            # On all: the address that clouds name is often translated on the way, and not the server's own.
            "headscale_listen": f"{_any(address)}:443",
            "headscale_stun_listen": f"{_any(address)}:3478",
            "headscale_source": programs.headscale,
            "headscale_sha256": programs.sha256,
            "headscale_certificate": made.certificate,
            "headscale_key": made.key,
        }
        | for_two_nodes(address),
        host="the tunnel server",
        timeout=180,
    )
    way = passage(names, [label(helper.name) for helper in helpers])
    with _coordinator(ports, shell, address, reached) as coordinator:
        # Before anybody joins: without a policy all reach all.
        coordinator.set_policy(write_policy([way]))
        own = coordinator.create_join_key(OWN_JOIN_SECONDS, tags=[way.helper_tag(HELPER)])
        ports.progress.step("Joining the network from the tunnel server")
        ports.library.converge(
            shell,
            ("tailscale_node",),
            {
                "session_short": names.short,
                "tailscale_node_programs": programs.tailscale,
                "tailscale_node_server_url": url,
                "tailscale_node_authority": reached.authority,
                "tailscale_node_key": own.text,
                "tailscale_node_opens": True,
                "tailscale_node_port": TAILSCALE_PORT,
            },
            host="the tunnel server",
            timeout=90,
        )
        _require_first(coordinator.nodes(), way)
        device = coordinator.create_join_key(JOIN_SECONDS, tags=[way.device_tag])
    return replace(launched, reached=reached), HeadscalePath(url, made.authority, device.text)


def dissolve(ports: AdminPorts, entry: LedgerEntry, reached: Reached, login: Secret[str]) -> None:
    """Expire the keys, delete the nodes by id, the device first, and see them gone. Raises HostError, CoordinatorError.

    The server's end, which comes next, ends all of it too; this is for the moments until then, and for whoever wants it proved.
    """
    ports.progress.step("Closing the tunnel's network")
    shell = ports.connector.connect(
        entry.server_address, user=reached.user, private_key=login, host_key=reached.host_key, timeout=10
    )
    device_tag = passage(Names(entry.tunnel)).device_tag
    try:
        with _coordinator(ports, shell, entry.server_address, reached) as coordinator:
            for key in coordinator.join_keys():
                coordinator.expire_join_key(key.id)
            for node in sorted(coordinator.nodes(), key=lambda node: device_tag not in node.tags):
                coordinator.delete_node(node.id)
            if left := coordinator.nodes():
                raise CoordinatorError(
                    "headscale.leftovers",
                    f"the Headscale server still lists {', '.join(node.name for node in left)}",
                    next_step="The server's own end ends them; `fab sweep` tries again.",
                )
            ports.progress.note("The network's list is empty: its nodes are deleted, and no key lets anybody join.")
    finally:
        shell.close()


def invite(
    ports: AdminPorts, entry: LedgerEntry, reached: Reached, shell: ServerShell, answer: Answer
) -> dict[str, Secret[str]]:
    """A join key for each helper, by name. Only now: the device has the second address, whoever comes next another one."""
    labels = helper_labels(answer)
    way = passage(Names(entry.tunnel), list(labels.values()))
    with _coordinator(ports, shell, entry.server_address, reached) as coordinator:
        return {
            name: coordinator.create_join_key(INVITED_SECONDS, tags=[way.helper_tag(labelled)]).text
            for name, labelled in labels.items()
        }


def passage(names: Names, helpers: Sequence[str] = ()) -> Passage:
    """The ways in this network: from the tunnel server and the helpers to the session's port of the device."""
    return Passage("tunnel", names.short, (HELPER, *helpers), (addressing.SESSION_PORT,))


def for_two_nodes(address: str) -> dict[str, object]:
    """Settings of a Headscale that has no name which could have other addresses, and nodes for whom nothing needs to be gathered.

    With its own a join takes three times as long (docs/headscale.md, Numbers).
    """
    return {
        "headscale_relay_ipv4": "none" if ":" in address else address,
        "headscale_relay_ipv6": address if ":" in address else "none",
        "headscale_gather_writes": "10ms",
        "headscale_gather_news": "10ms",
    }


def control_url(address: str) -> str:
    return f"https://[{address}]:443" if ":" in address else f"https://{address}:443"


def _any(address: str) -> str:
    return "[::]" if ":" in address else "0.0.0.0"  # noqa: S104 - the packet filter says who reaches it


def require_programs(ports: AdminPorts) -> Programs:
    """Raises UsageError `headscale.server-programs`."""
    programs = ports.programs()
    if programs is None:
        raise UsageError(
            "headscale.server-programs",
            "the owner wants the transport headscale, and the settings do not say where tunnel servers have its programs",
            next_step="Set headscale, headscale_sha256 and tailscale in the inventory (docs/headscale.md).",
        )
    return programs


def require_coordinating(ports: AdminPorts) -> None:
    """Raises UsageError `headscale.server-programs`, CloudError `cloud.wireguard-only`, where no Headscale server can be made."""
    require_programs(ports)
    if ports.clouds[ports.cloud].only_wireguard:
        raise CloudError(
            "cloud.wireguard-only",
            f"a server of the cloud {ports.cloud} is one that others keep, which is made no Headscale server",
            next_step="Ask the owner for a request with --transport wireguard, or name another cloud with --cloud.",
        )


def way_to_device(ports: AdminPorts, entry: LedgerEntry, shell: ServerShell) -> str:
    """`direct` or `relay`, as the tunnel server sees it; empty where that cannot be told just now. Ends nothing: it is for show."""
    programs = ports.programs()
    if programs is None:
        return ""
    peer = addressing.device_address(addressing.TAILNET)
    try:
        found = probes.read(
            shell, tailnet_probes.tailnet_way(Names(entry.tunnel), programs.tailscale, peer), timeout=20
        )
    except HostError:
        return ""
    return found.get("way", "")


@contextmanager
def _coordinator(ports: AdminPorts, shell: ServerShell, address: str, reached: Reached) -> Iterator[Coordinator]:
    """The server's API, by a key that is made on the server and ended here."""
    key = Secret(probes.read(shell, tailnet_probes.coordinator_key(API_KEY_SECONDS), timeout=30).get("key", ""))
    coordinator = ports.coordinator_for(control_url(address), key, reached.authority)
    try:
        yield coordinator
    finally:
        with suppress(CoordinatorError):  # it expires by itself
            coordinator.expire_api_key(key.reveal().removeprefix("hskey-api-")[:12])


def _require_first(nodes: Sequence[Node], way: Passage) -> None:
    """The addresses of both ends are known beforehand only if this server gave none away before."""
    mine = str(addressing.server_address(addressing.TAILNET))
    if [node.tags for node in nodes] != [(way.helper_tag(HELPER),)] or mine not in nodes[0].addresses:
        raise HostError(
            "headscale.first",
            "the tunnel server is not the first node of its own network",
            next_step="Ask the owner for a new code; if it happens again, please report it.",
        )
