"""What every cloud must do, asked of each driver over HTTP: the same tests, whatever plays the cloud (docs/clouds.md says what does)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.core.errors import CloudError
from support_tunnel.core.ports import OpenPort, Server, ServerSpec
from support_tunnel.core.waiting import wait_for
from support_tunnel.testing.clock import ManualClock
from tests.clouds.gate import HTML, Answer, Fault, Gate, Provider, gate
from tests.clouds.played import PLAYED
from tests.clouds.reached import cloud_at

TUNNEL = "5a" * 16
PORTS = (OpenPort("tcp", 22), OpenPort("udp", 31_000))


@dataclass(frozen=True)
class Site:
    cloud: LibcloudCloud
    gate: Gate
    provider: Provider
    clock: ManualClock
    another: Callable[[], LibcloudCloud]
    """The same cloud as another process reaches it, that has nothing but the account."""


def reach(made: Gate, clock: ManualClock, **besides: str) -> LibcloudCloud:
    return cloud_at(made.provider.name, {**made.provider.settings(made.url), **besides}, clock)


@pytest.fixture(params=list(PLAYED.values()), ids=list(PLAYED))
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    clock = ManualClock()
    with gate(request.param()) as made:
        yield Site(reach(made, clock), made, made.provider, clock, lambda: reach(made, clock))
    contract = getattr(made.provider, "contract", None)
    assert contract is None or contract.complaints == []


def spec(name: str = "support-tunnel-5a5a5a5a", tunnel: str = TUNNEL) -> ServerSpec:
    return ServerSpec(
        name=name,
        user_data="#cloud-config\n# canary-user-data\n{}\n",
        expires=datetime(2033, 5, 18, tzinfo=UTC),
        tags={"st-tunnel": tunnel, "st-owner": "ann.B@host.example", "st-expires": "2000000000"},
        open_ports=PORTS,
        lifetime=3_600,
    )


def test_a_server_is_listed_as_it_was_asked_for(site: Site) -> None:
    assert list(site.cloud.servers()) == []
    made = site.cloud.create(spec())
    first = site.another()
    # A real Nova (tests/clouds/nova_server.py) builds a while, the others are quick.
    seen = wait_for(lambda: ready(first), what="running server", seconds=60, clock=SystemClock())
    assert (seen.id, seen.name) == (made.id, "support-tunnel-5a5a5a5a")
    assert spec().tags.items() <= seen.tags.items()


def test_the_clouds_own_clock_is_heard(site: Site) -> None:
    """So that a machine whose clock is ahead does not call live servers over."""
    site.cloud.servers()
    theirs = site.cloud.now()
    assert theirs is not None
    assert abs(datetime.now(UTC) - theirs) < timedelta(minutes=5)


@pytest.mark.parametrize("owner", ["Ann@pc", "Ünal", "-ann", "a" * 79 + "-"], ids=["capital", "umlaut", "dash", "long"])
def test_an_owner_may_be_called_anything(site: Site, owner: str) -> None:
    """Only the end of a very long name is not told, where a cloud's labels are short."""
    site.cloud.create(replace(spec(), tags={**spec().tags, "st-owner": owner}))
    (seen,) = site.another().servers()
    told = seen.tags["st-owner"]
    assert told == owner or (owner.startswith(told) and len(told) > 40)
    site.cloud.destroy(seen.id)


def ready(cloud: LibcloudCloud) -> Server | None:
    (seen,) = cloud.servers()
    return seen if seen.address and seen.running else None


def test_destroyed_is_gone_with_its_firewall_and_again_is_fine(site: Site) -> None:
    kept, ended = site.cloud.create(spec()), site.cloud.create(spec("support-tunnel-6b6b6b6b", "6b" * 16))
    walls = len(site.provider.walls())
    assert walls == (2 if site.cloud.row.firewall else 0)
    site.another().destroy(ended.id)
    site.cloud.destroy(ended.id)
    assert [server.id for server in site.another().servers()] == [kept.id]
    assert site.provider.everything() == [kept.id]
    assert len(site.provider.walls()) == walls // 2
    site.cloud.destroy(kept.id)
    assert site.provider.everything() == site.provider.walls() == []


def test_exactly_the_tunnels_ports_are_open_and_ssh_for_the_admins_networks(site: Site) -> None:
    if site.cloud.row.firewall is None:
        assert site.provider.rules() == set()
        return
    reach(site.gate, site.clock, ssh_from="192.0.2.0/24 2001:db8::/32").create(spec())
    assert site.provider.rules() == {
        ("tcp", 22, "192.0.2.0/24"),
        ("tcp", 22, "2001:db8::/32"),
        ("udp", 31_000, "0.0.0.0/0"),
        ("udp", 31_000, "::/0"),
    }


def test_a_servers_of_somebody_else_is_neither_shown_nor_ended(site: Site) -> None:
    """With our name even: the tag alone makes it ours."""
    foreign = site.provider.foreign("support-tunnel-6b6b6b6b")
    made = site.cloud.create(spec())
    assert [server.id for server in site.cloud.servers()] == [made.id]
    with suppress(CloudError):  # refused, or not even found where the cloud itself lists ours alone
        site.cloud.destroy(foreign)
    site.cloud.destroy(made.id)
    assert site.provider.everything() == [foreign]


def test_an_id_that_no_server_has_ends_nothing(site: Site) -> None:
    made = site.cloud.create(spec())
    for odd in ("", "..", "../..", made.id + "0", made.id[:-1], "firewall:", "firewall:nothing"):
        site.cloud.destroy(odd)
    assert site.provider.everything() == [made.id]


def test_a_server_whose_answer_was_lost_is_adopted(site: Site) -> None:
    site.gate.faults = [Fault(site.provider.creates, None, effect=True)]
    made = site.cloud.create(spec())
    assert site.provider.everything() == [made.id]
    assert site.gate.sent(site.provider.creates) == 1


def test_a_create_that_fails_before_its_effect_is_sent_again(site: Site) -> None:
    site.gate.faults = [
        Fault(site.provider.creates, None),
        Fault(site.provider.creates, site.provider.refusal("retry")),
    ]
    made = site.cloud.create(spec())
    assert site.provider.everything() == [made.id]


@pytest.mark.parametrize("kind", ["auth", "quota", "bad-request"])
def test_a_refusal_is_told_in_the_clouds_own_words_and_leaves_no_server(site: Site, kind: str) -> None:
    refusal = site.provider.refusal(kind)
    site.gate.faults = [Fault(site.provider.creates, refusal)]
    with pytest.raises(CloudError) as failed:
        site.cloud.create(spec())
    assert failed.value.code == f"cloud.{kind}"
    assert failed.value.next_step
    said = failed.value.message.partition(" says: ")[2]
    assert said, "the provider's own words"
    for canary in ("canary", "cloud-config"):
        assert canary not in str(failed.value)
    assert site.gate.sent(site.provider.creates) == 1, "what does not pass by itself is not sent again"
    for left in site.cloud.servers():  # as `stop` does it, by tag
        site.cloud.destroy(left.id)
    assert site.provider.everything() == site.provider.walls() == []


def test_too_many_requests_are_waited_out(site: Site) -> None:
    site.gate.faults = [
        Fault(site.provider.creates, site.provider.refusal("rate"), times=2),
        Fault(site.provider.lists, site.provider.refusal("rate")),
    ]
    made = site.cloud.create(spec())
    assert site.provider.everything() == [made.id]
    assert site.clock.monotonic() > 0


def cut(true: Answer) -> Answer:
    return Answer(true.status, true.body[: len(true.body) // 2], true.type)


@pytest.mark.parametrize("odd", ["html", "empty", "cut", "500", "401", "line cut"])
def test_an_odd_list_never_means_gone(site: Site, odd: str) -> None:
    made = site.cloud.create(spec())
    answers = {
        "html": HTML,
        "empty": Answer(200, b""),
        "500": site.provider.refusal("retry"),
        "401": site.provider.refusal("auth"),
        "line cut": None,
    }
    then = cut if odd == "cut" else None
    # A login page stands in the way of every request, not of lists alone.
    which = (lambda _: True) if odd in ("html", "empty") else site.provider.lists
    site.gate.faults = [Fault(which, answers.get(odd), times=1000, then=then)]
    for question in (site.another().servers, lambda: site.cloud.destroy(made.id)):
        with pytest.raises(CloudError):
            question()
    site.gate.faults = []
    assert site.provider.everything() == [made.id]


def test_a_server_that_a_stale_list_still_shows_is_waited_for(site: Site) -> None:
    """Gone, and listed a while longer: destroy returns when the list has it no more."""
    made = site.cloud.create(spec())
    seen: list[Answer] = []

    def remember(true: Answer) -> Answer:
        seen.append(true)
        return true

    site.gate.faults = [Fault(site.provider.lists, None, then=remember)]
    site.cloud.servers()
    site.gate.faults = [Fault(site.provider.lists, seen[0], times=4)]
    site.cloud.destroy(made.id)
    assert site.provider.everything() == []


def test_a_destroy_that_fails_is_sent_again_and_then_told(site: Site) -> None:
    made = site.cloud.create(spec())
    site.gate.faults = [Fault(site.provider.destroys, site.provider.refusal("retry"), times=1000)]
    with pytest.raises(CloudError, match=f"server {made.id} is still there"):
        site.cloud.destroy(made.id)
    site.gate.faults = [Fault(site.provider.destroys, site.provider.refusal("retry"), times=2)]
    site.cloud.destroy(made.id)
    assert site.provider.everything() == site.provider.walls() == []


def test_a_firewall_whose_server_was_never_made_is_listed_and_ended(site: Site) -> None:
    """What a tool leaves that is killed between the two; its tags tell whose it is and when it is over."""
    if site.cloud.row.firewall is None:
        assert site.provider.walls() == []
        return
    site.gate.faults = [Fault(site.provider.creates, site.provider.refusal("quota"))]
    with pytest.raises(CloudError):
        site.cloud.create(spec())
    assert len(site.provider.walls()) == 1
    (left,) = site.another().servers()
    assert left.tags["st-expires"] == "2000000000"
    assert left.tags["st-tunnel"] == TUNNEL
    site.another().destroy(left.id)
    assert site.provider.walls() == []


def test_many_at_once_are_all_different_and_all_end(site: Site) -> None:
    """One driver a thread: with one for all of them, sixteen threads got each other's answers."""
    tunnels = [f"{number:02x}" * 16 for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda tunnel: site.cloud.create(spec(f"support-tunnel-{tunnel[:8]}", tunnel)), tunnels))
        assert {server.tags["st-tunnel"] for server in made} == set(tunnels)
        assert {server.id for server in site.another().servers()} == {server.id for server in made}
        list(pool.map(site.cloud.destroy, (server.id for server in made)))
    assert site.provider.everything() == site.provider.walls() == []
