"""The local cloud as libcloud sees it: an ordinary NodeDriver, so that nothing above needs to know it is local.

    register()
    driver = get_driver("local")()

It has no key pairs: a key goes in as `auth` or within the user-data, and nothing of it stays afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from libcloud.compute.base import Node, NodeAuthSSHKey, NodeDriver, NodeImage, NodeLocation, NodeSize
from libcloud.compute.types import NodeState as CloudState

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.baked import BAKED, Baked, baked
from support_tunnel.adapters.local_cloud.layout import DEFAULT_ROOT, CloudLayout
from support_tunnel.adapters.local_cloud.nodes import NodeRequest, Nodes, NodeState, NodeView
from support_tunnel.adapters.local_cloud.snapshot import Snapshot
from support_tunnel.core.secret import Secret

__all__ = ["LocalNodeDriver"]

_STATES = {
    NodeState.BOOTING: CloudState.PENDING,
    NodeState.READY: CloudState.RUNNING,
    NodeState.OFF: CloudState.STOPPED,
    NodeState.BROKEN: CloudState.ERROR,
}


class LocalNodeDriver(NodeDriver):  # type: ignore[misc]  # libcloud has no types
    """Debian hosts in containers on this machine. `key` is the folder that holds the cloud: another folder, another cloud."""

    type = "local"
    name = "Local cloud"
    api_name = "local"
    website = "https://libcloud.apache.org/"
    features: ClassVar[dict[str, list[str]]] = {"create_node": ["ssh_key"]}

    def __init__(self, key: str | Path = DEFAULT_ROOT, *, ex_seen: Iterable[Path] = (), ex_baked: Path = BAKED) -> None:
        # The base class's own __init__ would open an HTTP connection.
        self.key = str(key)
        self.secret = self.region = self.connection = None
        self.seen = tuple(ex_seen)
        """Folders of this machine that every node sees, as with `ex_bind_ro`."""
        self.nodes = Nodes(CloudLayout(Path(key)), SystemClock(), ex_baked)

    def list_locations(self) -> list[NodeLocation]:
        return [NodeLocation("here", "this machine", "", self)]

    def list_sizes(self, location: NodeLocation | None = None) -> list[NodeSize]:
        """One size: limits set inside a container of this kind would not hold."""
        return [NodeSize("small", "small", 512, 0, 0, 0.0, self)]

    def list_images(self, location: NodeLocation | None = None) -> list[NodeImage]:
        return [NodeImage(image.id, image.name, self) for image in self.nodes.images().values()]

    def create_node(
        self,
        name: str,
        size: NodeSize,
        image: NodeImage,
        location: NodeLocation | None = None,
        auth: NodeAuthSSHKey | None = None,
        ex_userdata: str = "",
        ex_tags: Mapping[str, str] | None = None,
        ex_expires: int = 0,
        ex_host_key: Secret[str] | None = None,
        ex_bind_ro: Iterable[Path] = (),
    ) -> Node:
        """Start a node; `auth` lets its root in.

        `ex_expires` (Unix seconds) is remembered for sweepers, nothing here acts on it. `ex_host_key` is an SSH private key
        for nodes without user-data (else a fresh one; the public line is in `extra["host_key"]`). `ex_bind_ro` are folders
        of this machine that the node sees live and read-only.
        """
        checked = self._get_and_check_auth(auth)
        record = self.nodes.create(
            NodeRequest(
                name=name,
                image=image.id,
                size=size.id,
                user_data=ex_userdata,
                authorized_key=checked.pubkey if checked else "",
                host_key=ex_host_key,
                tags=ex_tags or {},
                expires=ex_expires,
                bind_ro=(*self.seen, *ex_bind_ro),
            )
        )
        return self._to_node(NodeView(NodeState.BOOTING, record))

    def list_nodes(self) -> list[Node]:
        return [self._to_node(view) for view in self.nodes.views()]

    def destroy_node(self, node: Node) -> bool:
        return self.nodes.destroy(node.id)

    def ex_destroy_all(self) -> None:
        """End every node of this cloud, and whatever a killed maker left."""
        self.nodes.destroy_all()

    def ex_snapshot(self, node: Node) -> Snapshot:
        """What is on the node's disk now, for `snapshot.changes`."""
        return self.nodes.snapshot(node.id)

    def ex_bake(self, node: Node, name: str, tags: Mapping[str, str]) -> None:
        """Make an image of a node that is off; it is listed among the images then."""
        self.nodes.bake(node.id, name, tags)

    def ex_baked(self) -> list[Baked]:
        return [image for image, _ in baked(self.nodes.baked).values()]

    def ex_unbake(self, name: str) -> None:
        self.nodes.unbake(name)

    def ex_console(self, node: Node) -> str:
        """What the node's init and its services have written on its console."""
        return self.nodes.console(node.id)

    def reboot_node(self, node: Node) -> bool:
        self.nodes.reboot(node.id)
        return True

    def _to_node(self, view: NodeView) -> Node:
        record = view.record
        extra: dict[str, Any] = {"tags": dict(record.tags), "expires": record.expires, "host_key": record.host_key}
        return Node(
            id=record.id,
            name=record.name,
            state=_STATES[view.state],
            public_ips=[record.address],
            private_ips=[],
            driver=self,
            size=next((size for size in self.list_sizes() if size.id == record.size), None),
            image=next((image for image in self.list_images() if image.id == record.image), None),
            extra=extra,
            created_at=datetime.fromtimestamp(record.created, UTC),
        )
