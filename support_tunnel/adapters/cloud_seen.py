"""What a cloud lists: servers and firewalls, ours told from others' by their tag. It changes nothing.

An empty list is believed only of what is a cloud: a login page that answers with status 200 reads as "no servers" to some drivers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from support_tunnel.adapters.cloud_line import CloudLine
from support_tunnel.adapters.clouds.row import CloudRow, Opened
from support_tunnel.core.errors import CloudError
from support_tunnel.core.ports import Server

__all__ = ["FIREWALL", "OURS", "CloudSeen"]

OURS = "st-tunnel"
"""The tag that makes a server ours; its value is the tunnel."""
FIREWALL = "firewall:"
"""Before the id of a firewall whose server is gone: it is listed and ended as one, so that whoever sweeps need not know of it."""


class CloudSeen:
    """Each method asks anew. Raises CloudError `cloud.*`."""

    def __init__(self, row: CloudRow, line: CloudLine) -> None:
        self._row = row
        self._line = line

    def nodes(self) -> list[Any]:
        """libcloud's nodes, at least all of ours. Raises CloudError `cloud.odd-answer`."""
        nodes = self._line.ask(lambda driver, _: self._row.listed(driver))
        if not nodes and not self._line.ask(lambda driver, _: self._row.genuine(driver)):
            raise CloudError(
                "cloud.odd-answer",
                f"the cloud {self._row.name} answers with nothing at all, not even its locations",
                next_step="Check that this network has no login page or proxy in the way.",
            )
        return [node for node in nodes if str(node.state) not in self._row.forgotten]

    def servers(self) -> list[Server]:
        """Ours."""
        nodes = self.nodes()
        return self._line.ask(lambda *_: [self.server(node) for node in nodes if OURS in self._row.tags(node)])

    def firewalls(self) -> list[Opened]:
        """Ours."""
        return [opened for opened in self.all_firewalls() if OURS in opened.tags]

    def all_firewalls(self) -> Sequence[Opened]:
        firewall = self._row.firewall
        return [] if firewall is None else self._line.ask(firewall.listed)

    def firewalls_without(self, servers: Sequence[Server]) -> list[Server]:
        """Those of ours whose server is none of `servers`, as if they were servers."""
        held = {server.tags[OURS] for server in servers}
        return [
            Server(
                f"{FIREWALL}{opened.id}",
                f"{opened.name} (firewall)",
                "",
                running=False,
                tags=dict(opened.tags),
                billed=False,
            )
            for opened in self.firewalls()
            if opened.tags[OURS] not in held
        ]

    def server(self, node: Any) -> Server:
        """In our words."""
        return Server(
            id=str(node.id),
            name=str(node.name),
            address=self._row.address(node),
            running=str(node.state) == "running",
            tags=dict(self._row.tags(node)),
            boot_seconds=self._row.boot_seconds,
            login=self._line.ask_once(lambda _, told: self._row.login(told)),
        )
