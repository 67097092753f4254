"""`--cloud X`: the whole job differs by nothing but X, whichever of the inventory's clouds that is.

One inventory names all of them, each played over real HTTP; device and tunnel server are models.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml

from support_tunnel.adapters.cloud_table import row as row_of
from support_tunnel.cli.admin.answering import connected
from support_tunnel.cli.admin.settings import load_admin_settings
from support_tunnel.cli.admin.wiring import admin_ports
from support_tunnel.core.errors import UsageError
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.record import load_reached
from support_tunnel.flows.admin.spending import cost
from support_tunnel.flows.admin.stop import stop
from support_tunnel.flows.admin.sweep import sweep
from tests.clouds.gate import Gate, Request, gate
from tests.clouds.played import PLAYED
from tests.flows.conftest import library, make_world
from tests.flows.hosts import CloudConnector
from tests.flows.world import World

__all__ = ["library", "make_world"]

OWN = ("tunnel", "cloud", "server_id", "server_address")
"""Of a ledger's entry, what no two tunnels have in common."""
CLOUDS = [name for name in PLAYED if name != "nova"]


class Office:
    """An admin's machine: its inventory, and the gates to all the clouds in it."""

    def __init__(self, folder: Path, gates: Mapping[str, Gate], besides: Mapping[str, str] | None = None) -> None:
        """`besides` are settings that each of the clouds has too."""
        self.gates = gates
        clouds = {name: {**self._told(folder, name, made), **(besides or {})} for name, made in gates.items()}
        self.inventory = folder / "all.yml"
        given = {"clouds": {"local": {}, **clouds}, "state": str(folder / "state"), "runtime": str(folder / "vault")}
        self.inventory.write_text(yaml.safe_dump({"support_tunnel": given}))

    @staticmethod
    def _told(folder: Path, name: str, made: Gate) -> dict[str, str]:
        told = made.provider.settings(made.url)
        for setting in row_of(name).settings:
            if setting.secret and setting.name in told:
                file = folder / f"{name}-{setting.name}"
                file.write_text(told[setting.name])
                file.chmod(0o600)
                told[setting.name] = f"file:{file}"
        return told

    def ports(self, cloud: str = "") -> AdminPorts:
        """As a verb has them that was given this `--cloud`, or none."""
        return admin_ports(load_admin_settings({"SUPPORT_TUNNEL_INVENTORY": str(self.inventory)}, cloud=cloud))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with ExitStack() as opened:
        gates = {name: opened.enter_context(gate(PLAYED[name]())) for name in CLOUDS}
        yield Office(tmp_path, gates)


def user_data_of(request: Request) -> dict[str, Any]:
    """What the server starts with, wherever in its request and however wrapped this cloud wants it."""
    for text in texts(request):
        for plain in (text, unwrapped(text)):
            if plain.startswith("#cloud-config"):
                found: dict[str, Any] = yaml.safe_load(plain)
                return found
    raise AssertionError("no user-data was sent")


def unwrapped(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def texts(request: Request) -> Iterator[str]:
    yield from request.query.values()
    body = request.body.decode()
    try:
        yield from within(json.loads(body))
    except ValueError:
        yield from dict(parse_qsl(body)).values()


def within(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from within(inner)


def without_keys(user_data: dict[str, Any]) -> dict[str, Any]:
    assert user_data.pop("ssh_keys")
    assert user_data["users"][0].pop("ssh_authorized_keys")
    return user_data


def played_at(world: World, office: Office, name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Play the job at one cloud; what there was of it, without what no two tunnels have in common."""
    found = office.ports(name)
    cloud, made = found.clouds[found.cloud], office.gates[name]
    world.device.cloud = cloud
    world.owner_agrees()
    changes: dict[str, Any] = {
        "clouds": found.clouds,
        "cloud": found.cloud,
        "connector": CloudConnector(world.server, cloud),
    }
    device, admin = world.turns.start(world.request), world.turns.start(lambda: world.answer(**changes))
    world.turns.run(device, admin)
    assert (device.error, admin.error) == (None, None), (device.error, admin.error)

    (entry,) = world.ledger.entries()
    reached = load_reached(world.admin_vault, world.tunnel)
    assert reached is not None
    ports = world.admin_ports(**changes)
    capsys.readouterr()
    connected(ports, world.tunnel, admin.result, helper_files="", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said.pop("server") == entry.server_address == next(iter(cloud.servers())).address
    assert said.pop("tunnel_id") == world.tunnel
    assert said.pop("user") == f"st{world.tunnel[:8]}"
    (asked,) = [request for request in made.log if made.provider.creates(request)]
    assert entry.cloud == name
    assert entry.server_id
    alike = {field: value for field, value in asdict(entry).items() if field not in OWN}
    return {
        "user-data": without_keys(user_data_of(asked)),
        "ports": {
            (protocol, "its own" if port == reached.wireguard_port else port, network)
            for protocol, port, network in made.provider.rules()
        },
        "ledger": alike,
        "output": said,
        "steps": [step.replace(f"({name})", "") for step in world.notes.steps],
    }


def test_the_job_is_the_same_at_every_cloud(
    make_world: Callable[..., World], library: Any, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    worlds = {name: make_world(library=library) for name in CLOUDS}
    there = {name: played_at(world, office, name, capsys) for name, world in worlds.items()}
    reference = there[CLOUDS[0]]
    assert reference["user-data"]["users"][0]["name"] == "tunnel-admin"
    assert {(protocol, port) for protocol, port, _ in reference["ports"]} == {("tcp", 22), ("udp", "its own")}
    for name in CLOUDS:
        assert there[name] == reference, name

    # What comes later is told no cloud: it goes by the ledger's entry, and by what each cloud lists.
    later = office.ports()
    assert later.cloud == "local"
    everywhere = {name: cloud for name, cloud in later.clouds.items() if name != "local"}
    for name, world in worlds.items():
        ports = world.admin_ports(clouds=everywhere, cloud="local")
        assert {one.cloud for one in cost(ports).running} == set(CLOUDS[CLOUDS.index(name) :])
        assert len(sweep(ports).kept) == 1
        with ports.vault.hold(world.tunnel):
            stop(ports, world.tunnel)
        provider = office.gates[name].provider
        assert (provider.everything(), provider.walls(), [*world.ledger.entries()]) == ([], [], [])


def test_one_that_the_inventory_has_not_is_refused_with_those_that_it_has(office: Office) -> None:
    with pytest.raises(UsageError) as refused:
        office.ports("hetzer")
    assert refused.value.code == "config.cloud"
    assert {"local", *CLOUDS} <= set(refused.value.next_step.replace(",", "").replace(".", "").split())
