"""`--transport auto` on real hosts: each network lets less through than the one before, and the owner reads which way was left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support_tunnel.core.ports import Completed
from tests.onebox.crew import Connected, Crew

pytestmark = pytest.mark.onebox

ONLY = r"""
nft -f - <<'END'
add table inet less
delete table inet less
table inet less {
	chain input { type filter hook input priority -200; policy accept; iifname != "lo" udp sport != @open drop; }
	chain output { type filter hook output priority -200; policy accept; oifname != "lo" udp dport != @open drop; }
	set open { type inet_service; ELEMENTS }
}
END
"""
"""What a network lets through of UDP, as the device's own packet filter: nothing but to these ports."""


@dataclass(frozen=True, slots=True)
class Told:
    live: Connected
    ran: Completed
    rules: str
    """The server's packet filter while it was connected."""
    left: list[str]

    @property
    def reasons(self) -> list[str]:
        return [said[said.index("Not by ") :] for said in self.live.said.splitlines() if "Not by " in said]


def play(people: Crew, *asked: str) -> Told:
    live = people.connect("--ttl", "5", "--transport", "auto", *asked)
    ran = people.fab("command", live.tunnel[:8], "id -un; hostname")
    rules = people.server(live.tunnel, "nft list table inet support_tunnel")
    stopped = people.fab("stop", live.tunnel[:8])
    assert stopped.status == 0, stopped.stderr
    people.closed()
    return Told(live, ran, rules, people.left(live.tunnel))


@pytest.fixture(scope="module")
def open_net(trusting: Crew) -> Told:
    trusting.device("nft delete table inet less 2>/dev/null || :")
    return play(trusting)


@pytest.fixture(scope="module")
def only_443(trusting: Crew) -> Told:
    trusting.device(ONLY.replace("ELEMENTS", "elements = { 443 }"))
    return play(trusting)


@pytest.fixture(scope="module")
def no_udp(headscale_tools: None, trusting: Crew) -> Iterator[Told]:
    trusting.device(ONLY.replace("ELEMENTS", ""))
    yield play(trusting, "--pq", "prefer")
    trusting.device("nft delete table inet less")


@pytest.fixture(params=["open_net", "only_443", "no_udp"])
def told(request: pytest.FixtureRequest) -> Told:
    found: Told = request.getfixturevalue(request.param)
    return found


def test_the_session_works_and_nothing_is_left(told: Told) -> None:
    assert told.ran.stdout.splitlines() == [told.live.names.user, "device"], told.ran.stderr
    assert told.left == []


def test_where_all_gets_through_it_is_the_servers_own_port(open_net: Told) -> None:
    assert both_say(open_net) == ("wireguard", "udp")
    assert open_net.reasons == []


def test_where_only_udp_443_gets_through_it_is_that(only_443: Told) -> None:
    assert both_say(only_443) == ("wireguard", "udp-443")
    (why,) = only_443.reasons
    assert re.fullmatch(r"Not by WireGuard on UDP \d{5}: no answer in 8 s\. Now by WireGuard on UDP 443\.", why)


def test_where_no_udp_gets_through_it_is_headscales_relay(no_udp: Told) -> None:
    assert both_say(no_udp) == ("headscale", "relay")
    first, second = no_udp.reasons
    assert re.fullmatch(r"Not by WireGuard on UDP \d{5}: no answer in 8 s\. Now by WireGuard on UDP 443\.", first)
    assert second == "Not by WireGuard on UDP 443: no answer in 8 s. Now through a Headscale server."


def test_with_pq_require_nothing_of_headscale_is_open_or_there(only_443: Told) -> None:
    assert opened(only_443.rules) == {"tcp": {"22"}, "udp": {own_port(only_443)}}
    assert redirected(only_443.rules) == [("443", own_port(only_443))]


def test_headscale_opens_its_own_ports_beside_them(no_udp: Told) -> None:
    assert opened(no_udp.rules) == {"tcp": {"22", "443"}, "udp": {own_port(no_udp), "3478", "41641"}}
    assert redirected(no_udp.rules) == [("443", own_port(no_udp))]


def both_say(told: Told) -> tuple[str, str]:
    (said,) = {(side["transport"], side["way"]) for side in (told.live.owner, told.live.admin)}
    return said


def own_port(told: Told) -> str:
    found = re.search(r"redirect to :(\d+)", told.rules)
    assert found is not None
    return found[1]


def opened(rules: str) -> dict[str, set[str]]:
    """Ports by protocol that the rules of nft let in from outside, leases of the cloud's network apart."""
    ports: dict[str, set[str]] = {"tcp": set(), "udp": set()}
    for line in rules.partition("chain input")[2].partition("\n\t}")[0].splitlines():
        if "sport" not in line and (found := re.search(r"(tcp|udp) dport (\{[^}]*\}|\d+) accept", line)):
            ports[found[1]] |= set(re.findall(r"\d+", found[2]))
    return ports


def redirected(rules: str) -> list[tuple[str, str]]:
    return re.findall(r"udp dport (\d+) redirect to :(\d+)", rules)
