"""Making an image: the server is gone afterwards, however it went, and an image that is not whole goes with it."""

from __future__ import annotations

from typing import Any

import pytest

from support_tunnel.core.errors import CloudError, HostError, SupportTunnelError, UsageError, WrongState
from support_tunnel.core.ports import Image, OpenPort, Server, ServerSpec
from support_tunnel.flows.admin.bake import Baked, bake, images_of, remove_image
from support_tunnel.testing.faults import Fault, FaultWiring, raising
from tests.flows.turns import Job
from tests.flows.world import World


def run(world: World, wiring: FaultWiring | None = None, **changes: Any) -> Job:
    job = world.turns.start(lambda: bake(world.admin_ports(wiring, **changes)))
    world.turns.run(job)
    return job


def baked(world: World) -> Baked:
    job = run(world)
    assert job.error is None
    assert isinstance(job.result, Baked)
    return job.result


def test_the_server_is_launched_as_any_other_and_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    specs: list[ServerSpec] = []
    create = world.cloud.create

    def seen(spec: ServerSpec) -> Server:
        specs.append(spec)
        (entry,) = world.ledger.entries()
        assert (entry.stage, entry.tunnel) == ("intended", spec.tags["st-tunnel"]), "intent is on disk before"
        return create(spec)

    monkeypatch.setattr(world.cloud, "create", seen)
    made = baked(world)
    (spec,) = specs
    assert spec.open_ports == (OpenPort("tcp", 22),)
    assert spec.tags.keys() == {"st-tunnel", "st-owner", "st-expires"}
    assert made.others == []
    assert (made.image.ready, made.image.tags["st-image"]) == (True, made.image.name)
    assert made.image.tags["st-owner"] == "ann@laptop"
    assert world.left() == []
    assert [rental.ended is not None for rental in world.account.rentals()] == [True]
    steps = "; ".join(world.notes.steps)
    assert steps.index("First contact") < steps.index("Installing the packages") < steps.index("Taking off")


def test_an_older_one_is_told_of_and_stays(world: World) -> None:
    first, second = baked(world).image, baked(world)
    assert [one.name for one in second.others] == [first.name]
    assert len(images_of(world.admin_ports())) == 2


def test_an_image_that_its_cloud_does_not_finish_goes_with_its_server(world: World) -> None:
    world.images.unfinished = True
    job = run(world)
    assert isinstance(job.error, CloudError)
    assert job.error.code == "cloud.unbaked"
    assert images_of(world.admin_ports()) == []
    assert world.left() == []


def calls(world: World) -> list[str]:
    counted = FaultWiring()
    assert run(world, counted).error is None
    for image in world.images.baked():
        world.images.remove(image.id)
    return counted.calls


@pytest.mark.parametrize("ends", [False, True], ids=["fails", "is killed"])
def test_one_that_was_made_before_its_tool_knew_is_removed(world: World, ends: bool) -> None:
    """Its answer was lost: by the name in the ledger it is found, by the tool itself or by a sweep."""
    number = calls(world).index("images.bake") + 1
    lost = raising(CloudError("cloud.retry", "the line was cut"))
    job = run(world, FaultWiring(Fault(number, "after", lost, lasting=ends)))
    assert isinstance(job.error, SupportTunnelError)
    if ends:  # nothing that it did about it had an effect
        assert len(world.images.baked()) == 1
    assert world.sweep().failed == []
    assert world.images.baked() == []
    assert world.left() == []


def test_a_whole_image_outlives_a_tool_that_dies_with_it(world: World) -> None:
    found = calls(world)
    number = next(at for at, call in enumerate(found) if at > found.index("images.bake") and call == "ledger.write") + 1
    run(world, FaultWiring(Fault(number, "after", raising(CloudError("cloud.retry", "x")), lasting=True)))
    assert world.sweep().failed == []
    assert [image.ready for image in world.images.baked()] == [True]
    assert world.left() == []


def test_a_server_that_cannot_be_cleaned_becomes_no_image(world: World) -> None:
    world.server.stays_unclean = True
    job = run(world)
    assert isinstance(job.error, HostError)
    assert (job.error.code, job.error.message) == ("image.unclean", "the server could not be cleaned: still a key")
    assert images_of(world.admin_ports()) == []
    assert world.left() == []


def test_without_a_mirror_there_is_no_image(world: World) -> None:
    world.server.breaks_off = True
    job = run(world)
    assert isinstance(job.error, HostError)
    assert images_of(world.admin_ports()) == []
    assert world.left() == []


def test_where_none_can_be_made_no_server_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot() -> list[Image]:
        raise CloudError("cloud.cannot-bake", "we make none there")

    monkeypatch.setattr(world.images, "baked", cannot)
    job = run(world)
    assert isinstance(job.error, CloudError)
    assert world.account.rentals() == []
    assert world.left_on_device() == []
    assert len(world.cloud.everything()) == 1


def test_the_spend_cap_counts_it(world: World) -> None:
    job = run(world, spend_cap=0.0)
    assert isinstance(job.error, UsageError | WrongState)
    assert job.error.code in ("cost.unknown", "cost.cap")
    assert world.left() == []


def test_an_image_is_removed_by_any_of_its_names_and_no_other(world: World) -> None:
    kept, gone = baked(world).image, baked(world).image
    with pytest.raises(UsageError) as refused:
        remove_image(world.admin_ports(), "support-tunnel")
    assert refused.value.code == "image.unknown"
    assert remove_image(world.admin_ports(), gone.word).name == gone.name
    assert [one.name for one in images_of(world.admin_ports())] == [kept.name]
