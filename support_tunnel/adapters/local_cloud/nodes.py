"""The life of a node: made, seen, rebooted, ended. Knows nothing of libcloud; `driver.py` translates.

Order of things in `create`: a folder that appears with its record in it, then one effect after the other; `destroy` undoes any
prefix of them. A maker holds its node's lock until it is done or dead, so who gets the lock knows that nobody adds to the node.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from support_tunnel.adapters.local_cloud import baked, container, furnish, network, overlay, prerequisites
from support_tunnel.adapters.local_cloud.images import IMAGES, Image, lower_of
from support_tunnel.adapters.local_cloud.layout import CloudLayout, NodeLayout
from support_tunnel.adapters.local_cloud.records import NodeRecord, is_locked, load_record, locked, save_record
from support_tunnel.adapters.local_cloud.snapshot import Snapshot, snapshot
from support_tunnel.core.errors import CloudError, SupportTunnelError, UsageError
from support_tunnel.core.ports import Clock
from support_tunnel.core.secret import Secret

__all__ = ["NodeRequest", "NodeState", "NodeView", "Nodes"]


class NodeState(Enum):
    BOOTING = "booting"
    READY = "ready"
    """sshd listens, and cloud-init has done all of its user-data."""
    OFF = "off"
    BROKEN = "broken"
    """Its maker died; only good for destroying."""


@dataclass(frozen=True, slots=True)
class NodeRequest:
    name: str
    image: str = "debian-13"
    size: str = "small"
    user_data: str = ""
    authorized_key: str = ""
    host_key: Secret[str] | None = None
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    expires: int = 0
    bind_ro: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class NodeView:
    state: NodeState
    record: NodeRecord


@contextmanager
def _ordinary_umask() -> Iterator[None]:
    """A node's folders are what a host has, whatever the umask of who launches it: under 077 nobody could enter its `/`."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


@dataclass(frozen=True, slots=True)
class Nodes:
    """Every node of one local cloud."""

    cloud: CloudLayout
    clock: Clock
    baked: Path = baked.BAKED
    """Folder of the images that were made of nodes."""

    def images(self) -> dict[str, Image]:
        """By id: the two that there always are, and those that were baked."""
        ours = baked.baked(self.baked)
        return IMAGES | {
            name: Image(name, "made of a node", cloud_init=image.cloud_init, root=root)
            for name, (image, root) in ours.items()
        }

    def bake(self, node_id: str, name: str, tags: Mapping[str, str]) -> None:
        """Make an image of a node that is off. Raises CloudError `cloud.unknown-node`, `cloud.in-use`."""
        place = self.cloud.node(node_id)
        with locked(place.folder) as there:
            record = load_record(place) if there else None
            if record is None or not record.made:
                raise CloudError("cloud.unknown-node", f"there is no node {node_id} that an image could be made of")
            if container.members(place):
                raise CloudError(
                    "cloud.in-use", f"node {node_id} still runs: what it writes would be half in the image"
                )
            cloud_init = self.images()[record.image].cloud_init
            baked.bake(self.baked, name, place.merged, tags, cloud_init=cloud_init)

    def unbake(self, name: str) -> None:
        """Remove an image; gone already is fine. Raises CloudError `cloud.in-use` while a node of this cloud stands on it."""
        records = [load_record(self.cloud.node(node_id)) for node_id in self.cloud.node_ids()]
        if any(record.image == name for record in records if record is not None):
            raise CloudError("cloud.in-use", f"a node stands on the image {name}", next_step="Destroy it first.")
        baked.remove(self.baked, name)

    def create(self, request: NodeRequest) -> NodeRecord:
        """Make and start a node; returns while it boots. Leaves nothing behind when it fails."""
        image = _check(request, self.images())
        prerequisites.check(image)
        lower = lower_of(image)
        place = self.cloud.node(self.cloud.new_id())
        try:
            with _ordinary_umask():
                return self._make(request, image, lower, place)
        except BaseException:
            self.destroy(place.id)
            raise

    def views(self) -> list[NodeView]:
        """All nodes as they are now, half-made ones included."""
        found = [self._view(self.cloud.node(node_id)) for node_id in self.cloud.node_ids()]
        return [view for view in found if view is not None]

    def destroy(self, node_id: str) -> bool:
        """End a node and everything of it; False when there was none. The last one takes the bridge along."""
        place = self.cloud.node(node_id)
        with locked(place.folder) as there:
            if there:
                container.end(place, self.clock)
                network.disconnect(place)
                overlay.unmount(place)
                overlay.remove(place)
        self._tidy()
        return there

    def reboot(self, node_id: str) -> None:
        """Cut the power and start again; the node's disk stays."""
        place = self.cloud.node(node_id)
        with locked(place.folder) as there:
            record = load_record(place) if there else None
            if record is None or not record.made:
                raise CloudError("cloud.unknown-node", f"there is no node {node_id} that could be rebooted")
            container.end(place, self.clock)
            container.boot(place, hostname=record.name, bind_ro=record.bind_ro)

    def destroy_all(self) -> None:
        """End every node, and what a maker left that died before its node had a name. Raises the first failure, after all."""
        failures = []
        for node_id in self.cloud.node_ids():
            try:
                self.destroy(node_id)
            except SupportTunnelError as failure:
                failures.append(failure)
        self._tidy()
        if failures:
            raise failures[0]

    def snapshot(self, node_id: str) -> Snapshot:
        place = self.cloud.node(node_id)
        record = load_record(place)
        if record is None:
            raise CloudError("cloud.unknown-node", f"there is no node {node_id}")
        return snapshot(place.upper, Path(record.lower))

    def console(self, node_id: str) -> str:
        """What its container and its cloud-init said; on a real cloud both stand on the serial console. Empty when it is gone."""
        place = self.cloud.node(node_id)
        said = place.upper / "var/log/cloud-init-output.log"
        # The node wrote it, and may have put a link to a file of this machine there.
        inside = said.resolve().is_relative_to(place.upper.resolve())
        found = [file for file in (place.console, *([said] if inside else [])) if file.is_file()]
        return "\n".join(file.read_text(errors="replace") for file in found)

    def _make(self, request: NodeRequest, image: Image, lower: Path, place: NodeLayout) -> NodeRecord:
        with ExitStack() as until_made:
            record, wire = self._register(request, image, lower, place, until_made)
            overlay.make_layers(place)
            record = _furnish(request, record, lower, place)
            overlay.mount(place, lower)
            network.connect(self.cloud, place, record.address, wire)
            container.boot(place, hostname=record.name, bind_ro=record.bind_ro)
            record = dataclasses.replace(record, made=True)
            save_record(place, record)
        return record

    def _register(
        self, request: NodeRequest, image: Image, lower: Path, place: NodeLayout, until_made: ExitStack
    ) -> tuple[NodeRecord, ipaddress.IPv4Network]:
        """Make the node's folder with its record in it, and keep it locked."""
        with self._cloud_locked():
            prerequisites.check_memory(self.cloud.root)
            wire = network.make_bridge(self.cloud)
            record = NodeRecord(
                id=place.id,
                name=request.name,
                image=image.id,
                size=request.size,
                address=self._free_address(wire),
                lower=str(lower),
                created=int(self.clock.now().timestamp()),
                expires=request.expires,
                tags=dict(request.tags),
                bind_ro=tuple(str(path) for path in request.bind_ro),
                cloud_init=bool(request.user_data),
            )
            draft = NodeLayout(place.id, self.cloud.draft)
            shutil.rmtree(draft.folder, ignore_errors=True)
            draft.folder.mkdir(mode=0o700)
            save_record(draft, record)
            until_made.enter_context(locked(draft.folder))
            draft.folder.rename(place.folder)  # the lock goes along
        return record, wire

    @contextmanager
    def _cloud_locked(self) -> Iterator[None]:
        """Hold the cloud, made if need be: a last destroy may remove it at any time before."""
        while True:
            self.cloud.make_root()
            with locked(self.cloud.root) as there:
                if there:
                    self.cloud.nodes.mkdir(mode=0o700, exist_ok=True)
                    yield
                    return

    def _free_address(self, wire: ipaddress.IPv4Network) -> str:
        records = [load_record(self.cloud.node(node_id)) for node_id in self.cloud.node_ids()]
        taken = {record.address for record in records if record is not None} | {network.gateway(wire)}
        for address in wire.hosts():
            if str(address) not in taken:
                return str(address)
        raise CloudError("cloud.full", f"all addresses of {wire} are taken", next_step="Destroy some nodes first.")

    def _view(self, place: NodeLayout) -> NodeView | None:
        record = load_record(place)
        return NodeView(self._state(place, record), record) if record else None

    def _state(self, place: NodeLayout, record: NodeRecord) -> NodeState:
        if not record.made:
            return NodeState.BOOTING if is_locked(place.folder) else NodeState.BROKEN
        init = container.init_of(place)
        if init is None:
            return NodeState.BOOTING if container.members(place) else NodeState.OFF
        if record.cloud_init and not (place.upper / "var/lib/cloud/data/result.json").exists():
            return NodeState.BOOTING
        return NodeState.READY if container.listens(init, 22) else NodeState.BOOTING

    def _tidy(self) -> None:
        """Remove what the cloud shares among its nodes once there are none."""
        with locked(self.cloud.root) as there:
            if there and not self.cloud.node_ids():
                network.remove_bridge(self.cloud)
                shutil.rmtree(self.cloud.root)


def _furnish(request: NodeRequest, record: NodeRecord, lower: Path, place: NodeLayout) -> NodeRecord:
    if record.image == "host":
        furnish.furnish_host(place.upper, record.name)
    else:
        furnish.furnish_debian(place.upper, lower, record.name)
    if record.cloud_init:
        furnish.seed_cloud_init(
            place.upper, lower,
            node_id=record.id, name=record.name, authorized=request.authorized_key, user_data=request.user_data,
        )  # fmt: skip
        return record
    line = furnish.install_keys(place.upper, lower, authorized=request.authorized_key, host_key=request.host_key)
    return dataclasses.replace(record, host_key=line)


def _check(request: NodeRequest, images: Mapping[str, Image]) -> Image:
    image = images.get(request.image)
    if image is None:
        known = ", ".join(images)
        raise UsageError("cloud.image-unknown", f"the local cloud has no image {request.image!r}; it has {known}")
    if request.user_data and not image.cloud_init:
        raise UsageError("cloud.user-data", f"nodes of the image {image.id} run no cloud-init and take no user-data")
    # It becomes a hostname, a line of /etc/hosts and an argument.
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", request.name):
        raise UsageError(
            "cloud.name", f"{request.name!r} is no host name: lower-case letters, digits and hyphens, 63 at most"
        )
    for path in request.bind_ro:
        if not path.is_absolute() or not path.exists():
            raise UsageError("cloud.bind", f"{path} cannot be shown in a node: it is no existing absolute path")
    return image
