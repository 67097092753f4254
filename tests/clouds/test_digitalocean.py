"""What DigitalOcean alone has: a tag that is removed goes from the whole account."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from support_tunnel.core.ports import ServerSpec
from support_tunnel.testing.clock import ManualClock
from tests.clouds.digitalocean import DigitalOcean
from tests.clouds.gate import Answer, Fault, Request, gate
from tests.clouds.test_every_cloud import reach, spec

OVER = "1000000000"
"""An end that is past."""


def of(name: str, tunnel: str) -> ServerSpec:
    return replace(spec(name, tunnel), tags={**spec(name, tunnel).tags, "st-expires": OVER})


class Ahead(ManualClock):
    """A machine on whose clock all is over; the cloud's own says when that is so."""

    def now(self) -> datetime:
        return datetime(2099, 1, 1, tzinfo=UTC)


def test_no_word_of_a_tunnel_is_left_in_the_account() -> None:
    provider = DigitalOcean()
    with gate(provider) as played:
        provider.foreign("web-1")
        cloud = reach(played, ManualClock())
        first, second = cloud.create(of("st-5a5a5a5a", "5a" * 16)), cloud.create(of("st-6b6b6b6b", "6b" * 16))
        cloud.destroy(first.id)
        (kept,) = (one for one in provider.servers.values() if str(one["id"]) == second.id)
        assert set(kept["tags"]) == {tag for tag in provider.tags if tag != "web"}, (
            "what the other one carries stays, all of it"
        )
        cloud.destroy(second.id)
    assert provider.tags == {"st-tunnel", "st-owner:ann_2e_42_40host_2eexample", "web"}


def test_words_of_a_tunnel_that_is_not_over_stay() -> None:
    """Somebody may be making a server that gets them, and removing a word takes it from that too."""
    provider = DigitalOcean()
    with gate(provider) as played:
        cloud = reach(played, Ahead())
        provider.tags |= {
            "st-tunnel:" + "7c" * 16,
            "st-expires:1999999999",
            "st-expires:1000000000",
            "st-expires:soon",
            "st-attempt:mine",
            "prod",
        }
        cloud.destroy(cloud.create(spec()).id)
    assert provider.tags == {
        "st-tunnel", "st-owner:ann_2e_42_40host_2eexample", "st-expires:2000000000",
        "st-tunnel:" + "7c" * 16, "st-expires:1999999999", "st-expires:soon", "st-attempt:mine", "prod",
    }  # fmt: skip


def test_many_words_go_some_at_a_time() -> None:
    provider = DigitalOcean()
    provider.page_size = 200
    with gate(provider) as played:
        cloud = reach(played, ManualClock())
        provider.tags |= {f"st-attempt:{number:016x}" for number in range(120)}
        for left in (71, 22, 0):
            cloud.destroy(cloud.create(spec()).id)
            assert len([tag for tag in provider.tags if tag.startswith("st-attempt:")]) == left


def test_words_that_cannot_be_removed_are_no_trouble_of_a_server() -> None:
    provider = DigitalOcean()
    with gate(provider) as played:
        cloud = reach(played, ManualClock())
        made = cloud.create(spec())
        played.faults = [
            Fault(lambda request: request.path == "/v2/tags" and request.method == "GET", provider.refusal("retry"))
        ]
        cloud.destroy(made.id)
    assert provider.everything() == provider.walls() == []


def test_a_tag_that_an_operator_put_on_our_firewall_stays() -> None:
    provider = DigitalOcean()
    with gate(provider) as played:
        cloud = reach(played, ManualClock())
        foreign, made = provider.foreign("web-1"), cloud.create(spec())
        provider.servers[foreign]["tags"].append("prod")
        provider.tags.add("prod")
        (wall,) = provider.firewalls.values()
        ours = set(wall["tags"])
        wall["tags"] = ["prod", *wall["tags"]]
        cloud.destroy(made.id)
    assert provider.servers[foreign]["tags"] == ["web", "prod"]
    assert "prod" in provider.tags
    assert ours
    assert not ours & provider.tags, "else they would add up in the account"


def untags(request: Request) -> bool:
    return request.method == "DELETE" and request.path.startswith("/v2/tags/")


def test_a_word_whose_removal_fails_at_first_goes_all_the_same() -> None:
    """Its firewall is gone by then, and whoever asks again is told so."""
    provider = DigitalOcean()
    with gate(provider) as played:
        cloud = reach(played, ManualClock())
        made = cloud.create(spec())
        played.faults = [Fault(untags, provider.refusal("retry"))]
        cloud.destroy(made.id)
    assert not {tag for tag in provider.tags if tag.startswith("st-tunnel:")}


def test_a_server_that_lost_its_word_is_still_ours() -> None:
    """One that its list did not show yet when its firewall went, and with that its tunnel's word."""
    provider = DigitalOcean()
    with gate(provider) as played:
        cloud = reach(played, ManualClock())
        made = cloud.create(spec())
        (wall,) = provider.firewalls
        empty = Answer(200, b'{"droplets": [], "links": {}, "meta": {"total": 0}}')
        played.faults = [Fault(provider.lists, empty, times=4)]
        cloud.destroy(f"firewall:{wall}")
        played.faults = []
        (seen,) = reach(played, ManualClock()).servers()
        assert (seen.id, seen.tags["st-expires"]) == (made.id, spec().tags["st-expires"])
        reach(played, ManualClock()).destroy(seen.id)
    assert provider.everything() == []
