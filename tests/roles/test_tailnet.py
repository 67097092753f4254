"""Two tickets on one real Headscale, five nodes: what they reach of each other is what was consented to, directly or by the relay.

Over 300 lines: one network of five hosts is made once, and all of this is asked of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import pytest

from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.headscale.client import HeadscaleClient
from support_tunnel.cli import paths
from support_tunnel.core.addressing import node_address
from support_tunnel.core.errors import CoordinatorError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.tailnet import Member, Passage, label, read_policy, with_passage, without_device
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import probes
from support_tunnel.desired.tailnet_probes import tailnet_address, tailnet_company
from support_tunnel.testing.scratch_cloud import scratch_cloud
from tests.roles.random_consents import consents
from tests.roles.tailnet import (
    OFFERED,
    PORTS,
    SESSION_PORT,
    Node,
    Server,
    make_nodes,
    make_server,
    matrix,
    members,
)

pytestmark = pytest.mark.onebox

CAFE = Passage(label("ST-2025-001"), "0badcafe", ("hana",), (SESSION_PORT, OFFERED))
BEEF = Passage(label("ST-2025-002"), "0badbeef", ("bob",), (SESSION_PORT,))
TAGS = {
    "cafe": (CAFE.device_tag,),
    "beef": (BEEF.device_tag,),
    "hana": (CAFE.helper_tag("hana"),),
    "bob": (BEEF.helper_tag("bob"),),
}
CONSENTED = {("hana", "cafe", SESSION_PORT), ("hana", "cafe", OFFERED), ("bob", "beef", SESSION_PORT)}
PAIRS = {CAFE: {"cafe", "hana"}, BEEF: {"beef", "bob"}}
WIDE_OPEN: dict[str, Any] = {"tailscale_node_ports": list(PORTS), "tailscale_node_opens": True}
"""The nodes' own walls down, so that only the policy stands."""


@dataclass(slots=True)
class Net:
    server: Server
    client: HeadscaleClient
    nodes: dict[str, Node]

    def set_policy(self, *passages: Passage) -> None:
        text = None
        for passage in passages:
            text = with_passage(text, passage, members(self.client))
        self.client.set_policy(text or without_device(None, CAFE.device))
        self.wait_for_peers(
            {name: {n for p in passages if name in PAIRS[p] for n in PAIRS[p] - {name}} for name in TAGS}
        )

    def become(self, passages: Sequence[Passage], tags: Mapping[str, tuple[str, ...]]) -> None:
        """Tags have to be known before a node carries them, and a policy's tests name only nodes that carry theirs."""
        self.client.set_policy(_policy(passages))
        for node in self.client.nodes():
            self.client.tag_node(node.id, tags[node.name])
        self.client.set_policy(_policy(passages, members(self.client)))

    def pong(self, source: str, target: str) -> bool | None:
        return "pong" in self.nodes[source].ping(self.nodes[target]) or None

    def policy(self) -> str:
        stored = self.client.policy()
        assert stored is not None
        return stored.text

    def wait_for_peers(self, expected: Mapping[str, set[str]]) -> None:
        def seen() -> bool | None:
            return {name: set(node.peers()) for name, node in self.nodes.items() if node.addresses} == expected or None

        if any(node.addresses for node in self.nodes.values()):
            wait_for(seen, what="who sees whom", seconds=30, clock=SystemClock())

    def reached(self, *, at_least: AbstractSet[tuple[str, str, int]]) -> AbstractSet[tuple[str, str, int]]:
        """Measure until nothing of `at_least` is missing: a node may know its peers before its filter lets them in. Whatever else is open then is told."""

        def whole() -> AbstractSet[tuple[str, str, int]] | None:
            found = matrix(self.nodes)
            return found if found >= at_least else None

        return wait_for(whole, what=f"ways {sorted(at_least)}", seconds=60, clock=SystemClock())


def _policy(passages: Sequence[Passage], here: Sequence[Member] = ()) -> str:
    text = None
    for passage in passages:
        text = with_passage(text, passage)
    return with_passage(text, passages[-1], here)


@pytest.fixture(scope="module")
def net(tools: None) -> Iterator[Net]:
    with scratch_cloud() as driver, make_server(driver) as server, make_nodes(driver, server, TAGS) as nodes:
        server.apply()
        with server.client() as client:
            made = Net(server, client, nodes)
            made.set_policy(CAFE, BEEF)
            for node in nodes.values():
                node.join(client, None, **WIDE_OPEN)
            made.set_policy(CAFE, BEEF)  # again, with its tests: they name only who has joined
            yield made


def test_what_is_reached_is_what_was_consented_to(net: Net) -> None:
    policy = json.loads(net.policy())
    assert len(policy["tests"]) == 4
    assert len(policy["sshTests"]) == 2
    assert matrix(net.nodes) == CONSENTED


def test_a_helper_sees_the_device_of_the_ticket_and_no_other_node(net: Net) -> None:
    assert {name: set(node.peers()) for name, node in net.nodes.items()} == {
        "cafe": {"hana"},
        "beef": {"bob"},
        "hana": {"cafe"},
        "bob": {"beef"},
    }


def seen_by(node: Node) -> dict[str, str]:
    """What a session on this node would find: its own address, and the way to whoever is there."""
    names, programs = Names(TunnelId(node.short * 4)), str(built_tool(paths.REPOSITORY, "tailscale").parent)
    return {
        key: value
        for script in (tailnet_address(names, programs), tailnet_company(names, programs))
        for key, value in probes.read(node.host.shell, script, timeout=30).items()
    }


def test_a_device_of_a_shared_network_knows_its_address_and_who_is_there(net: Net) -> None:
    cafe = net.nodes["cafe"]
    wait_for(partial(net.pong, "cafe", "hana"), what="a first answer", seconds=30, clock=SystemClock())
    seen = seen_by(cafe)
    assert str(node_address(seen["address"])) in cafe.addresses
    assert seen["way"] in ("direct", "relay")
    assert "gone" not in seen


def test_headscale_refuses_a_policy_that_opens_more_than_its_tests_say(net: Net) -> None:
    good = with_passage(net.policy(), CAFE, members(net.client))
    broken = json.loads(good)
    broken["grants"].append({"src": [CAFE.helper_tag("hana")], "dst": [BEEF.device_tag], "ip": ["tcp:1-65535"]})
    with pytest.raises(CoordinatorError, match="expected DENIED, got ALLOWED") as refused:
        net.client.set_policy(json.dumps(broken))
    assert refused.value.code == "headscale.refused"
    broken["grants"] = [grant for grant in json.loads(good)["grants"] if grant["dst"] != [BEEF.device_tag]]
    with pytest.raises(CoordinatorError, match="expected ALLOWED, got DENIED"):
        net.client.set_policy(json.dumps(broken))
    ssh = json.loads(good) | {
        "ssh": [{"action": "accept", "src": [CAFE.helper_tag("hana")], "dst": [CAFE.device_tag], "users": ["root"]}]
    }
    with pytest.raises(CoordinatorError, match="expected DENIED, got ALLOWED"):
        net.client.set_policy(json.dumps(ssh))
    assert read_policy(net.policy()) == (CAFE, BEEF)


def test_a_ticket_that_ends_leaves_the_other_as_it_was(net: Net) -> None:
    net.client.set_policy(without_device(net.policy(), CAFE.device, members(net.client)))
    try:
        # The nodes of the ended ticket are still joined: nothing is left that they may see.
        net.wait_for_peers({"cafe": set(), "hana": set(), "beef": {"bob"}, "bob": {"beef"}})
        assert matrix(net.nodes) == {("bob", "beef", SESSION_PORT)}
    finally:
        net.set_policy(CAFE, BEEF)
    assert matrix(net.nodes) == CONSENTED


def test_with_no_ticket_at_all_nobody_sees_anybody(net: Net) -> None:
    net.set_policy()
    try:
        assert matrix(net.nodes) == set()
        _is_alone_until_cut_off(net)
    finally:
        net.set_policy(CAFE, BEEF)


@pytest.mark.parametrize("seed", range(4))
def test_for_any_consents_what_is_reached_is_what_was_consented_to(net: Net, seed: int) -> None:
    """The same four nodes, as devices and helpers of other tickets each time: their tags are changed where they are."""
    drawn = consents(seed, list(TAGS), PORTS)
    try:
        net.become(drawn.passages, drawn.tags)
        net.wait_for_peers({name: drawn.sees(name) for name in TAGS})
        assert net.reached(at_least=drawn.reach) == drawn.reach
    finally:
        net.become((CAFE, BEEF), TAGS)
        net.set_policy(CAFE, BEEF)


def _is_alone_until_cut_off(net: Net) -> None:
    """A device of a shared network says that it has joined while the server would say so too, and no longer."""

    def way() -> str:
        return seen_by(net.nodes["cafe"]).get("way", "none")

    assert way() == "alone"
    net.server.host.look("systemctl stop headscale.service")
    try:
        wait_for(lambda: way() == "none" or None, what="its being cut off", seconds=90, clock=SystemClock())
    finally:
        net.server.host.look("systemctl start headscale.service")
    wait_for(lambda: way() == "alone" or None, what="its being back", seconds=90, clock=SystemClock())


BLOCK = """
table inet test_no_udp {
    chain output { type filter hook output priority -200; meta l4proto udp ip daddr != 127.0.0.0/8 drop; }
    chain input { type filter hook input priority -200; meta l4proto udp ip daddr != 127.0.0.0/8 drop; }
}
"""


def test_direct_while_udp_passes_and_by_the_relay_when_it_does_not(net: Net) -> None:
    hana, cafe = net.nodes["hana"], net.nodes["cafe"]

    def way(words: str) -> bool | None:
        return words in hana.ping(cafe) or None

    wait_for(lambda: way(f"via {cafe.host.address}:"), what="direct way", seconds=30, clock=SystemClock())
    assert hana.peers()["cafe"]["CurAddr"].startswith(f"{cafe.host.address}:")
    hana.host.look(f"nft -f - <<'END'\n{BLOCK}\nEND")
    try:
        wait_for(lambda: way("via DERP(hs)"), what="way by the relay", seconds=60, clock=SystemClock())
        peer = hana.peers()["cafe"]
        assert (peer["Relay"], peer["CurAddr"]) == ("hs", "")
        assert matrix(net.nodes) == CONSENTED
    finally:
        hana.host.look("nft delete table inet test_no_udp")


TAILSCALES = (
    "controlplane.tailscale.com login.tailscale.com log.tailscale.com derp1.tailscale.com github.com api.github.com"
)
"""Names that the two programs know of; a node of a test has no DNS, and what it cannot find it could not contact."""

STRANGERS = """
table inet test_strangers {
    set seen { type ipv4_addr . inet_proto . inet_service; flags dynamic; }
    chain output {
        type filter hook output priority -200;
        oifname != { "lo", "st-*" } ip daddr != { INSIDE } tcp flags & (syn | ack) == syn add @seen { ip daddr . meta l4proto . th dport }
        oifname != { "lo", "st-*" } ip daddr != { INSIDE } meta l4proto udp add @seen { ip daddr . meta l4proto . th dport }
    }
}
"""


def test_neither_server_nor_node_contacts_a_stranger(net: Net) -> None:
    """Both are started anew, and all they open is towards each other."""
    inside = ", ".join(sorted({node.host.address for node in net.nodes.values()} | {net.server.host.address}))
    bob = net.nodes["bob"]
    for host in (net.server.host, bob.host):
        host.look(f"echo '203.0.113.7 {TAILSCALES}' >>/etc/hosts; ip route replace 203.0.113.7 dev eth0")  # RFC 5737
        host.look(f"nft -f - <<'END'\n{STRANGERS.replace('INSIDE', inside)}\nEND")
    net.server.host.look("systemctl restart headscale.service")
    bob.host.look(f"systemctl restart {bob.unit}")
    wait_for(partial(net.pong, "bob", "beef"), what="bob is back", seconds=30, clock=SystemClock())
    bob.host.look(f"nft -f - <<'END'\n{BLOCK}\nEND")  # without UDP it looks further for a way
    try:
        bob.tailscale("netcheck")
    finally:
        bob.host.look("nft delete table inet test_no_udp")
    seen = [host.look("nft list set inet test_strangers seen") for host in (net.server.host, bob.host)]
    for host in (net.server.host, bob.host):
        host.look("nft delete table inet test_strangers")
    assert [words for words in seen if "elements" in words] == []


def test_a_hostile_server_gains_the_session_port_and_nothing_else(net: Net) -> None:
    """The last test: the nodes get their own walls, and the policy falls."""
    for name, node in net.nodes.items():
        is_device = name in ("cafe", "beef")
        report = node.apply(
            tailscale_node_ports=[SESSION_PORT] if is_device else [], tailscale_node_opens=not is_device
        )
        assert "Restart the node" in {o.task for o in report.outcomes if o.status == "changed"}
    net.client.set_policy('{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}')
    net.wait_for_peers({name: TAGS.keys() - {name} for name in TAGS})
    helpers, devices = ("hana", "bob"), ("cafe", "beef")
    ways = list(product(helpers, devices))
    for helper, device in ways:  # two that have just been started anew need some seconds to find each other
        wait_for(partial(net.pong, helper, device), what=f"{helper} to {device}", seconds=60, clock=SystemClock())
    assert matrix(net.nodes) == {(helper, device, SESSION_PORT) for helper, device in ways}
