"""Images of our own, on every cloud where we make them: with their tags, found again, gone when they are removed, and nobody else's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import pytest

from support_tunnel.adapters.cloud_images import LibcloudImages
from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.cli.paths import REPOSITORY
from support_tunnel.core.errors import CloudError
from support_tunnel.core.ports import Image
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock
from tests.clouds.gate import Fault, Request, gate
from tests.clouds.played import PLAYED
from tests.clouds.test_every_cloud import Site, reach, spec

NAME = "support-tunnel-image-5a5a5a5a"
TAGS = {"st-image": NAME, "st-owner": "Ann.B@host.example", "st-made": "1900000000"}
BAKES = ("ec2", "digitalocean", "gce", "hetzner", "openstack")


def makes(request: Request) -> bool:
    by_path = request.method == "POST" and re.search(
        r"/(create_image|global/images|droplets/\d+/actions)$", request.path
    )
    return bool(by_path) or b'"createImage"' in request.body or request.query.get("Action") == "CreateImage"


@pytest.fixture(params=[name for name in PLAYED if name in BAKES])
def baking(request: pytest.FixtureRequest) -> Iterator[Site]:
    clock = ManualClock()
    with gate(PLAYED[request.param]()) as made:
        yield Site(reach(made, clock), made, made.provider, clock, lambda: reach(made, clock))
    contract = getattr(made.provider, "contract", None)
    assert contract is None or contract.complaints == []


@pytest.mark.parametrize("name", [name for name in PLAYED if name not in (*BAKES, "nova")])
def test_where_we_make_none_nothing_is_asked_and_the_way_by_hand_is_named(name: str) -> None:
    with gate(PLAYED[name]()) as made:
        with pytest.raises(CloudError) as refused:
            reach(made, ManualClock()).images().baked()
        assert refused.value.code == "cloud.cannot-bake"
        assert f"clouds/{name}/image" in refused.value.next_step
        assert made.log == []


def provider(site: Site) -> Any:
    return site.provider


def server(site: Site) -> str:
    """A server that has been cleaned, and off where it has to be."""
    made = site.cloud.create(spec()).id
    if site.cloud.images().of_what_is_off:
        provider(site).turn_off(made)
    return made


def others(site: Site) -> LibcloudImages:
    return site.another().images()


def test_an_image_is_listed_as_it_was_asked_for_and_goes(baking: Site) -> None:
    assert list(baking.cloud.images().baked()) == []
    made = baking.cloud.images().bake(server(baking), NAME, TAGS)
    (seen,) = others(baking).baked()
    assert (seen.id, seen.name, seen.ready) == (made.id, NAME, True)
    assert TAGS.items() <= seen.tags.items()
    others(baking).remove(made.id)
    baking.cloud.images().remove(made.id)
    assert list(baking.cloud.images().baked()) == []
    assert provider(baking).pictures() == []


def test_a_server_of_it_is_asked_for_by_its_word(baking: Site) -> None:
    """What the command prints is what the inventory takes."""
    made = baking.cloud.images().bake(server(baking), NAME, TAGS)
    told = reach(baking.gate, baking.clock, image=made.word)
    told.create(spec("st-6b6b6b6b", "6b" * 16))
    (sent,) = [one for one in baking.gate.log if baking.provider.creates(one)][1:]
    assert made.word in sent.body.decode() + str(sent.query)


def test_a_server_that_does_not_turn_off_becomes_no_image(baking: Site) -> None:
    images = baking.cloud.images()
    if not images.of_what_is_off:
        assert baking.provider.name == "ec2", "where its power-off would end it"
        return
    with pytest.raises(CloudError) as refused:
        images.bake(baking.cloud.create(spec()).id, NAME, TAGS)
    assert refused.value.code == "cloud.unbaked"
    assert baking.gate.sent(makes) == 0


def test_one_whose_answer_was_lost_is_taken(baking: Site) -> None:
    number = server(baking)
    baking.gate.faults = [Fault(makes, None, effect=True)]
    made = baking.cloud.images().bake(number, NAME, TAGS)
    assert provider(baking).pictures() == [made.id]
    assert baking.gate.sent(makes) == 1


def test_one_that_was_not_made_is_asked_for_again(baking: Site) -> None:
    number = server(baking)
    baking.gate.faults = [Fault(makes, None), Fault(makes, baking.provider.refusal("retry"))]
    made = baking.cloud.images().bake(number, NAME, TAGS)
    assert provider(baking).pictures() == [made.id]


@pytest.mark.parametrize("kind", ["auth", "quota", "bad-request"])
def test_a_refusal_is_told_and_leaves_none(baking: Site, kind: str) -> None:
    number = server(baking)
    baking.gate.faults = [Fault(makes, baking.provider.refusal(kind))]
    with pytest.raises(CloudError) as refused:
        baking.cloud.images().bake(number, NAME, TAGS)
    assert refused.value.code == f"cloud.{kind}"
    assert provider(baking).pictures() == []


@pytest.mark.parametrize("state", ["failed", "slow"])
def test_one_that_never_comes_is_told_of_and_can_be_removed(baking: Site, state: str) -> None:
    if baking.provider.name == "ec2":
        assert not hasattr(baking.provider, "images_become"), "moto knows only images that are ready"
        return
    number = server(baking)
    provider(baking).images_become = state
    with pytest.raises(CloudError) as refused:
        baking.cloud.images().bake(number, NAME, TAGS)
    assert refused.value.code == "cloud.unbaked"
    left: list[Image] = list(others(baking).baked())
    if baking.provider.name == "digitalocean":
        assert left == provider(baking).pictures() == [], "listed only once it is whole"
        return
    assert [(one.name, one.ready, one.failed) for one in left] == [(NAME, False, state == "failed")]
    others(baking).remove(left[0].id)
    assert provider(baking).pictures() == []


def test_an_image_of_somebody_else_is_neither_shown_nor_removed(baking: Site) -> None:
    number = server(baking)
    foreign = provider(baking).foreign_picture()
    made = baking.cloud.images().bake(number, NAME, TAGS)
    assert [one.id for one in others(baking).baked()] == [made.id]
    for odd in (foreign, "", "..", "snap-1"):
        with suppress(CloudError):  # refused, or not even found where the cloud itself lists ours alone
            baking.cloud.images().remove(odd)
    baking.cloud.images().remove(made.id)
    assert provider(baking).pictures() == [foreign]


def test_an_odd_list_never_means_gone(baking: Site) -> None:
    made = baking.cloud.images().bake(server(baking), NAME, TAGS)
    baking.gate.faults = [Fault(lambda _: True, baking.provider.refusal("retry"), times=1000)]
    with pytest.raises(CloudError):
        baking.cloud.images().remove(made.id)
    baking.gate.faults = []
    assert provider(baking).pictures() == [made.id]


def test_our_image_counts_as_offered_to_the_doctor_of_hetzner() -> None:
    """Its list is of Hetzner's own images, unless it is asked for snapshots too."""
    with gate(PLAYED["hetzner"]()) as made:
        here: Any = made.provider
        here.foreign_picture()
        ours = here._picture(NAME, {"st-image": NAME})
        told = {"token": Secret("canary-token"), "endpoint": made.url, "addresses": "both"}
        offered = [str(image.id) for image in CLOUDS["hetzner"].connect(told).list_images()]
    assert offered == ["debian-13", str(ours["id"])]


def test_the_page_says_where_we_make_images_and_what_it_takes() -> None:
    whole = (REPOSITORY / "docs" / "clouds.md").read_text()
    page = whole.partition("## An image with the packages in it\n")[2].partition("\n## ")[0]
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for name, row in CLOUDS.items():
        (line,) = [one for one in rows if f"`{name}`" in one.split("|")[1]]
        if row.baking is None:
            assert "cloud.cannot-bake" in line, name
        elif name != "local":
            assert line.endswith(f"| {row.baking.rights} |"), name
    assert {name for name, row in CLOUDS.items() if row.baking} == {*BAKES, "local"}


AT_FIRST = {
    "in use": lambda here: Fault(
        discards, here.refused("InvalidSnapshot.InUse", "The snapshot snap-1 is currently in use", status=400)
    ),
    "refused": lambda here: Fault(discards, here.refusal("retry")),
    "lost": lambda here: Fault(discards, None, effect=True),
}


def discards(request: Request) -> bool:
    return request.query.get("Action") == "DeleteSnapshot"


@pytest.mark.parametrize("at_first", list(AT_FIRST))
def test_amazons_snapshot_goes_with_its_image_whatever_became_of_the_first_call(at_first: str) -> None:
    """The image is gone by then, and its snapshot costs until somebody removes it."""
    with gate(PLAYED["ec2"]()) as made:
        clock, here = ManualClock(), cast(Any, made.provider)
        site = Site(reach(made, clock), made, made.provider, clock, lambda: reach(made, clock))
        image = site.cloud.images().bake(server(site), NAME, TAGS)
        made.faults = [AT_FIRST[at_first](here)]
        site.cloud.images().remove(image.id)
        left = [one.id for one in here.backend.snapshots.values() if one.get_tags()]
    assert left == here.pictures() == []


@pytest.mark.parametrize("at_first", list(AT_FIRST))
def test_and_so_does_one_that_is_left_alone(at_first: str) -> None:
    with gate(PLAYED["ec2"]()) as made:
        clock, here = ManualClock(), cast(Any, made.provider)
        site = Site(reach(made, clock), made, made.provider, clock, lambda: reach(made, clock))
        image = site.cloud.images().bake(server(site), NAME, TAGS)
        here.backend.deregister_image(image.id)
        (alone,) = site.cloud.images().baked()
        made.faults = [AT_FIRST[at_first](here)]
        site.cloud.images().remove(alone.id)
        left = [one.id for one in here.backend.snapshots.values() if one.get_tags()]
    assert left == []
