"""What DigitalOcean alone has: a tag that is removed goes from the whole account."""

from __future__ import annotations

from support_tunnel.testing.clock import ManualClock
from tests.clouds.digitalocean import DigitalOcean
from tests.clouds.gate import gate
from tests.clouds.test_every_cloud import reach, spec


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
