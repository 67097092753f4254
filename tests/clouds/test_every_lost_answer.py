"""A create whose answer is lost while the list is behind: one server comes of it, on every cloud."""

from __future__ import annotations

from tests.clouds.gate import Answer, Fault
from tests.clouds.test_every_cloud import Site, spec


def list_now(site: Site) -> Answer:
    """The list as the cloud answers with it, to be played again when it has become old."""
    kept: list[Answer] = []

    def keep(true: Answer) -> Answer:
        kept.append(true)
        return true

    site.gate.faults = [Fault(site.provider.lists, None, then=keep)]
    site.cloud.servers()
    return kept[0]


def test_two_servers_of_one_create_become_one(site: Site) -> None:
    """The first answer was lost and the list did not show it yet, so a second was made: only one may stay."""
    old = list_now(site)
    site.gate.faults = [
        Fault(site.provider.creates, None, effect=True),
        Fault(site.provider.lists, old),
    ]
    made = site.cloud.create(spec())
    assert site.provider.everything() == [made.id]
    assert len(site.provider.walls()) == (1 if site.cloud.row.firewall else 0), "it still needs its ports"


def test_an_answer_that_says_nothing_makes_one_server_however_late_the_list_is(site: Site) -> None:
    """Linode's driver, say, has no code for it. Those that send again have a word by which the cloud knows the same request."""
    old = list_now(site)
    nothing = b"<RunInstancesResponse/>" if site.provider.name == "ec2" else b"{}"
    site.gate.faults = [
        Fault(site.provider.creates, Answer(200, nothing), effect=True),
        Fault(site.provider.lists, old, times=4),
    ]
    made = site.cloud.create(spec())
    assert site.provider.everything() == [made.id]
