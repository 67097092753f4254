"""Who cannot be a node of this machine's: keys that let nobody in, a server that is somebody else, a machine that lacks something."""

from __future__ import annotations

from pathlib import Path

import pytest

from support_tunnel.adapters import own_node as adapter
from support_tunnel.adapters.own_node import UserspaceNode
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.ports import Joining
from support_tunnel.core.secret import Secret
from tests.headscale.authority import private_authority
from tests.headscale.own import OTHER, TUNNEL, Place, memory, nothing_left_of, own_node
from tests.headscale.real import CLOCK

pytestmark = pytest.mark.onebox


@pytest.mark.parametrize("why", ["used", "expired", "foreign"])
def test_a_key_that_lets_nobody_in_is_named_so_and_nothing_is_left(place: Place, why: str) -> None:
    key = place.key("admin")
    if why == "used":
        place.members.join(key, "quicker")
    elif why == "expired":
        with place.server.client(place.server.api_key()) as client:
            for known in client.join_keys():
                client.expire_join_key(known.id)
    else:
        key = Secret(f"{key.reveal()[:-8]}AAAAAAAA")
    before = place.names()
    words = {"used": "was used before", "expired": "has expired", "foreign": "does not know the join key"}
    joining = Joining(place.server.url, place.server.tls.authority, key, 600)
    with pytest.raises(HostError, match=words[why]) as caught:
        own_node(place.folder).join(OTHER, joining)
    assert caught.value.code == "node.join"
    assert key.reveal() not in f"{caught.value.message} {caught.value.next_step}"
    nothing_left_of(place.folder, OTHER)
    assert place.names() == before


def test_another_authority_is_not_believed_and_the_key_stays_unused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "JOIN_SECONDS", 12)
    other = private_authority(place.server.address)
    key = place.key("admin")
    with pytest.raises(HostError, match="certificate is not by the authority") as caught:
        own_node(place.folder).join(OTHER, Joining(place.server.url, other.authority, key, 600))
    assert caught.value.code == "node.join"
    nothing_left_of(place.folder, OTHER)
    with place.server.client(place.server.api_key()) as client:
        assert not next(known for known in reversed(client.join_keys()) if known.tags == ("tag:admin",)).used


def test_a_machine_that_cannot_is_told_what_it_lacks(tmp_path: Path) -> None:
    for node, words in (
        (UserspaceNode(tmp_path, "/nonexistent", CLOCK), "tailscale"),
        (own_node(tmp_path / ("x" * 120)), "shorter path"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            node.require()
        assert caught.value.code == "node.programs"


def test_what_would_lie_on_a_disk_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "lies_in_memory", lambda _: False)
    with memory() as folder:
        joining = Joining("https://192.0.2.1", "", Secret("key"), 60)
        with pytest.raises(UsageError) as caught:
            own_node(folder).join(TUNNEL, joining)
        assert caught.value.code == "vault.disk"
        assert own_node(folder).tunnels() == []
        assert not folder.exists()
