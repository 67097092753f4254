"""`fab bake-image` on real hosts: nothing of the one server is in the image, and a tunnel over a server of it asks no package mirror."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.baked import BAKED, baked
from support_tunnel.adapters.local_cloud.images import debian_13
from support_tunnel.adapters.local_cloud.layout import CloudLayout
from support_tunnel.adapters.local_cloud.nodes import Nodes
from support_tunnel.adapters.ssh_server import ServerShell, SshConnector
from support_tunnel.cli.admin.wiring import admin_ports
from support_tunnel.core.secret import Secret
from support_tunnel.flows.admin.bake import Baked, bake
from support_tunnel.testing.people import RecordedProgress
from tests.onebox.crew import PATIENCE, Crew, crew
from tests.roles.offered import take_off_and_offer

pytestmark = pytest.mark.onebox


class Stripping(SshConnector):
    """The server that is baked is first made to lack a package, which its apt then offers."""

    def connect(self, address: str, **login: Any) -> ServerShell:
        shell = super().connect(address, **login)
        made = shell.run_script(Secret(take_off_and_offer("wireguard-tools")), timeout=PATIENCE)
        assert made.status == 0, made.stderr
        return shell


@dataclass(frozen=True)
class Bakery:
    people: Crew
    baked: Baked
    folder: Path

    @property
    def root(self) -> Path:
        _, root = baked(self.folder)[self.baked.image.name]
        return root


@pytest.fixture(scope="module")
def bakery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bakery]:
    with ExitStack() as stack:
        people = stack.enter_context(crew(consent=True))
        folder = tmp_path_factory.mktemp("baked")
        told = yaml.safe_load(people.inventory.read_text())
        local = told["support_tunnel"]["clouds"]["local"]
        local["baked"] = str(folder)
        settings = replace(people.on.settings, clouds={"local": dict(local)})
        ports = replace(admin_ports(settings, progress=RecordedProgress()), connector=Stripping(SystemClock()))
        made = bake(ports)
        local["image"] = made.image.word
        people.inventory.write_text(yaml.safe_dump(told))
        yield Bakery(people, made, folder)


def test_nothing_is_left_of_the_server_that_it_was_made_of(bakery: Bakery) -> None:
    nodes = Nodes(CloudLayout(bakery.people.on.cloud_root), SystemClock())
    assert [view.record.id for view in nodes.views()] == [bakery.people.on.device.id]
    ports = admin_ports(bakery.people.on.settings, progress=RecordedProgress())
    assert ports.ledger.entries() == []
    assert [*Path(bakery.people.on.settings.runtime).glob("*/login-key")] == []
    assert not BAKED.exists() or bakery.baked.image.name not in baked(BAKED), "it lies where it was told to"


def test_the_image_has_the_packages_and_nothing_of_one_server(bakery: Bakery) -> None:
    root, plain = bakery.root, debian_13()
    assert (root / "usr/bin/wg").exists(), "installed while it was baked"
    for folder in ("etc/ssh", "etc/sudoers.d", "home", "root", "var/lib/cloud", "var/lib/apt/lists"):
        extra = names(root / folder) - names(plain / folder)
        assert extra == set(), folder
    assert (root / "etc/machine-id").read_text() == ""
    assert [path for path in (root / "etc/systemd/system").rglob("support-tunnel*")] == []
    for file in ("etc/passwd", "etc/shadow", "etc/group"):
        assert "tunnel-admin" not in (root / file).read_text()
    assert [path for path in (root / "var/log").rglob("*") if path.is_file() and path.stat().st_size] == []
    found = processes.run(["grep", "-rlsE", "BEGIN [A-Z ]*PRIVATE KEY", root / "etc", root / "var"], accept=(0, 1))
    assert found.stdout == ""


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.exists() else set()


def test_a_tunnel_over_a_server_of_the_image_asks_no_mirror(bakery: Bakery) -> None:
    people = bakery.people
    connected = people.connect("--ttl", "5")
    try:
        nodes = Nodes(CloudLayout(people.on.cloud_root), SystemClock())
        (server,) = [view.record for view in nodes.views() if view.record.id != people.on.device.id]
        assert server.image == bakery.baked.image.name
        told = people.fab("command", connected.tunnel[:8], "echo through")
        assert told.stdout == "through\n", told.stderr
    finally:
        assert people.fab("stop", connected.tunnel[:8]).status == 0
    people.closed()
    assert people.left(connected.tunnel) == []


def test_images_are_listed_and_removed_by_hand(bakery: Bakery) -> None:
    listed = bakery.people.fab("bake-image", "--list", "--json")
    assert listed.status == 0, listed.stderr
    (row,) = json.loads(listed.stdout)
    assert (row["image"], row["word"], row["ready"]) == (bakery.baked.image.name, bakery.baked.image.word, True)
    assert row["made"]
    removed = bakery.people.fab("bake-image", "--remove", bakery.baked.image.name)
    assert removed.status == 0, removed.stderr
    assert [*bakery.folder.iterdir()] == []
