"""The document of a tunnel's server fits into every cloud, whatever the tunnel is like: nothing of the tunnel is in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
import yaml

from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.core import ssh_key
from support_tunnel.core.ports import Server, ServerSpec
from support_tunnel.core.st1.paths import Transport
from support_tunnel.core.st1.people import MOST_HELPERS, Helper
from tests.flows.world import World


def asked(world: World, monkeypatch: pytest.MonkeyPatch) -> ServerSpec:
    """What the cloud is asked for, from an owner's request to the connection."""
    specs: list[ServerSpec] = []
    create = world.cloud.create

    def seen(spec: ServerSpec) -> Server:
        specs.append(spec)
        return create(spec)

    monkeypatch.setattr(world.cloud, "create", seen)
    world.connect()
    (spec,) = specs
    return spec


def without_keys(document: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(document)
    keys = loaded.pop("ssh_keys"), loaded["users"][0].pop("ssh_authorized_keys")
    assert all(keys)
    return loaded


def test_the_largest_tunnel_asks_for_the_document_of_the_smallest(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    smallest = asked(make_world(), monkeypatch)
    world = make_world(transports=get_args(Transport))
    every_way = asked(world, monkeypatch)
    world = make_world(transports=get_args(Transport))
    world.helpers = tuple(Helper(f"Helper {n}", ssh_key.new_keypair("x" * 60)[1]) for n in range(MOST_HELPERS))
    with_helpers = asked(world, monkeypatch)
    assert len(smallest.open_ports) < len(every_way.open_ports)
    assert without_keys(smallest.user_data) == without_keys(every_way.user_data) == without_keys(with_helpers.user_data)
    sizes = {len(spec.user_data.encode()) for spec in (smallest, every_way, with_helpers)}
    limited = {name: row.user_data_limit for name, row in CLOUDS.items() if name not in ("local", "static")}
    assert min(limited.values()) >= 16_384, "each says its own"
    assert max(sizes) < min(limited.values()) / 4, "with room for what a template of somebody's own adds"
