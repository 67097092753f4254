"""Fail at every step in turn: each port call of each verb, before and after its effect, once and for good. Nothing may stay.
Or hang at it, for longer than anything here lasts, and then go on or fail.

The calls are counted in an undisturbed run; a call at which nobody failed makes the test fail. "For good" is what `kill -9`
looks like from outside: nothing that the verb does about it has an effect. tests/onebox/test_killed.py does it with real ones.

Over 300 lines: the verbs and what becomes of them are read together.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import (
    CloudError,
    ConsentRefused,
    CoordinatorError,
    HostError,
    SupportTunnelError,
    UsageError,
    WrongState,
)
from support_tunnel.core.st1.paths import Transport
from support_tunnel.core.st1.people import Helper
from support_tunnel.flows.admin.bake import bake, remove_image
from support_tunnel.flows.device.connect import connect_approved
from support_tunnel.flows.device.end_session import end_session
from support_tunnel.flows.device.expire import expire
from support_tunnel.flows.library import Library
from support_tunnel.testing.faults import Fault, FaultWiring, Side, hanging
from tests.flows.turns import Job, Killed
from tests.flows.world import KEEPER, World

LONG = 7200.0
"""Seconds; more than a tunnel, its server's margin and everybody's patience together."""
HANA = Helper("Hana", ssh_key.new_keypair("hana")[1])
FULL = OSError(errno.ENOSPC, "no space left on device")
OF_FILES = (UsageError("file.mode", "others may change it"), FULL)
OF_HOSTS = (HostError("host.lost", "the connection broke"),)
MAY_RAISE: dict[str, tuple[BaseException, ...]] = {
    "account": OF_FILES,
    "acquaintances": OF_FILES,
    "certifier": (HostError("certificate.refused", "the token was not touched"),),
    "cloud": (CloudError("cloud.unavailable", "500, try again"),),
    "images": (CloudError("cloud.unbaked", "it was not finished in time"),),
    "connector": OF_HOSTS,
    "coordinator": (
        CoordinatorError("headscale.unavailable", "500, its database is gone"),
        CoordinatorError("headscale.unsure", "it may have happened"),
        CoordinatorError("headscale.auth", "401"),
    ),
    "door": OF_FILES,
    "guests": (*OF_HOSTS, CloudError("cloud.full", "as many as it may")),
    "hooks": (HostError("hook.timeout", "it did not end"), UsageError("hook.mode", "others can change it")),
    "journal": OF_FILES,
    "ledger": OF_FILES,
    "mailbox": (
        HostError("api.unreachable", "away"),
        WrongState("tunnel.closed", "closed"),
        UsageError("api.size", "no"),
    ),
    "own_node": (HostError("node.join", "it does not run"), UsageError("vault.disk", "not in memory")),
    "prompt": (ConsentRefused("consent.timeout", "nobody"),),
    "server": OF_HOSTS,
    "shell": OF_HOSTS,
    "vault": OF_FILES,
}
"""What the adapters of each port raise; a port that is not here has no faults, and the test fails."""


@dataclass(frozen=True)
class Verb:
    """`prepare` brings the world to where the verb starts, `run` is the verb, `again` what people run afterwards."""

    prepare: Callable[[World], None]
    run: Callable[[World, FaultWiring], Job]
    again: Callable[[World], None]
    transports: tuple[Transport, ...] = ("wireguard",)
    only: frozenset[str] = frozenset()
    """Struck at the calls of these ports alone, where another verb is struck at the same others; empty: at all."""

    def strikes(self, call: str) -> bool:
        return not self.only or call.partition(".")[0] in self.only


def job(world: World, work: Callable[[], object]) -> Job:
    started = world.turns.start(work)
    world.turns.run(started)
    return started


def created(world: World, wiring: FaultWiring) -> Job:
    world.turns.start(world.request)
    return job(world, lambda: world.answer(wiring))


def requested(world: World, wiring: FaultWiring) -> Job:
    world.turns.start(world.answer)
    return job(world, lambda: world.request(wiring))


def left_waiting(world: World) -> None:
    world.request_and_leave(approved=True)


def udp_is_blocked(world: World) -> None:
    world.device.blocks_wireguard, world.device.way = 2, "relay"


def waiting(world: World) -> None:
    """A request that its owner approved in advance waits, and a helper is there to answer it."""
    world.request_and_leave(approved=True)
    world.turns.start(world.answer)


def answered(world: World) -> None:
    waiting(world)
    world.turns.run(until=lambda: any(blob.slot == "answer" for blob in world.office.boxes[world.tunnel].blobs))


def connected(world: World) -> None:
    world.connect()


def orphaned(world: World) -> None:
    """The keeper is gone and its ending too, as after an out-of-memory kill of both."""
    world.connect()
    world.device.on_keeper_end = lambda short: None
    world.device.keeper_dies(world.tunnel[:8])
    for keeper in world.keepers.values():
        world.turns.kill(keeper)


def half_done(world: World) -> None:
    world.owner_agrees()
    world.turns.start(world.request)
    admin = world.turns.start(world.answer)
    world.turns.run(until=lambda: bool(world.digits))
    world.turns.kill(admin)
    world.expired()


def with_a_helper(world: World) -> None:
    world.helpers = (HANA,)


def on_standing(world: World) -> None:
    """With a helper who stays connected."""
    world.has_standing()
    with_a_helper(world)
    _, admin = world.connect()
    world.standing_headscale.join(admin.result.invitations[0].key, "hana")


def over_on_standing(world: World) -> None:
    """Past its end, of another admin's machine: this one's ledger knows nothing of it."""
    on_standing(world)
    world.ledger.remove(world.tunnel)
    world.admin_vault.erase(world.tunnel)
    world.own_node.leave(world.tunnel)
    job(world, lambda: world.clock.pause(LONG))


def guest_half_done(world: World) -> None:
    """Its tool died while it waited for the owner."""
    world.has_kept_server()
    world.turns.start(world.request)
    admin = world.turns.start(world.answer)
    world.turns.run(until=lambda: bool(world.digits))
    world.turns.kill(admin)


def connected_as_guest(world: World) -> None:
    world.has_kept_server()
    world.connect()


def over_as_guest(world: World) -> None:
    connected_as_guest(world)
    job(world, lambda: world.clock.pause(LONG))


def baked(world: World, wiring: FaultWiring) -> Job:
    return job(world, lambda: bake(world.admin_ports(wiring)))


def has_image(world: World) -> None:
    baked(world, FaultWiring())


def ended(world: World, wiring: FaultWiring) -> None:
    ports = world.device_ports(wiring)
    with ports.vault.hold(world.tunnel):
        end_session(ports, world.tunnel)


def kept(world: World, wiring: FaultWiring) -> Job:
    """The keeper of a session of a minute, in the place of the one that the world starts by itself."""
    world.turns.run(world.turns.start(world.request), world.turns.start(lambda: world.answer(max_ttl=60)))
    world.turns.kill(world.keepers.pop(world.tunnel[:8]))
    keeper = world.turns.start(lambda: world.keeps(world.tunnel, wiring))
    world.keepers[world.tunnel[:8]] = keeper
    world.turns.run(keeper)
    return keeper


def everybody_cleans_up(world: World) -> None:
    """What the two people run after trouble, and what happens by itself in the hours after."""
    for _ in range(2):  # the second time for a tool that connects while the first time is under way
        if any(entry.stage == "connected" for entry in world.ledger.entries()):
            job(world, world.stop_by_admin)
        assert world.sweep().failed == []
        world.clean_up()
        world.turns.run()


def swept_elsewhere(world: World) -> None:
    """A second machine ends what is over on the kept one, before whoever began it does anything about it."""
    job(world, lambda: world.clock.pause(LONG))
    assert world.sweep_elsewhere().failed == []
    assert world.kept is not None
    assert world.kept.tunnels(world.server) == []
    everybody_cleans_up(world)


ON_A_KEPT_SERVER = frozenset({"cloud", "guests", "connector", "server"})
HEADSCALE: tuple[Transport, ...] = ("headscale",)
AUTO: tuple[Transport, ...] = ("wireguard", "wireguard-443", "headscale")
VERBS = {
    "create_server": Verb(lambda world: None, created, everybody_cleans_up),
    "request_and_connect": Verb(lambda world: None, requested, everybody_cleans_up),
    "request_and_leave": Verb(
        lambda world: None,
        lambda world, wiring: job(world, lambda: world.request_and_leave(wiring, approved=True)),
        everybody_cleans_up,
    ),
    "go_on": Verb(waiting, lambda world, wiring: job(world, lambda: world.go_on(wiring)), everybody_cleans_up),
    "connect_approved": Verb(
        answered,
        lambda world, wiring: job(world, lambda: connect_approved(world.device_ports(wiring), keeper=KEEPER)),
        everybody_cleans_up,
    ),
    "expire": Verb(
        left_waiting,
        lambda world, wiring: job(world, lambda: expire(world.device_ports(wiring), world.tunnel)),
        everybody_cleans_up,
    ),
    "stop": Verb(connected, lambda world, wiring: job(world, lambda: world.stop_by_admin(wiring)), everybody_cleans_up),
    "stop_by_owner": Verb(
        connected, lambda world, wiring: job(world, lambda: world.stop_by_owner(wiring)), everybody_cleans_up
    ),
    "end_session": Verb(connected, lambda world, wiring: job(world, lambda: ended(world, wiring)), everybody_cleans_up),
    "sweep": Verb(half_done, lambda world, wiring: job(world, lambda: world.sweep(wiring)), everybody_cleans_up),
    "keep": Verb(lambda world: None, kept, everybody_cleans_up),
    "clean_up": Verb(orphaned, lambda world, wiring: job(world, lambda: world.clean_up(wiring)), everybody_cleans_up),
    "create_server, headscale": Verb(lambda world: None, created, everybody_cleans_up, HEADSCALE),
    "create_server, helper": Verb(with_a_helper, created, everybody_cleans_up, HEADSCALE),
    "request_and_connect, headscale": Verb(lambda world: None, requested, everybody_cleans_up, HEADSCALE),
    "request_and_connect, auto": Verb(udp_is_blocked, requested, everybody_cleans_up, AUTO),
    "create_server, standing": Verb(World.has_standing, created, everybody_cleans_up, HEADSCALE),
    "request_and_connect, standing": Verb(World.has_standing, requested, everybody_cleans_up, HEADSCALE),
    "stop, standing": Verb(
        on_standing,
        lambda world, wiring: job(world, lambda: world.stop_by_admin(wiring)),
        everybody_cleans_up,
        HEADSCALE,
    ),
    "sweep, standing": Verb(
        over_on_standing, lambda world, wiring: job(world, lambda: world.sweep(wiring)), everybody_cleans_up, HEADSCALE
    ),
    "create_server, guest": Verb(World.has_kept_server, created, everybody_cleans_up, only=ON_A_KEPT_SERVER),
    "create_server, guest, swept elsewhere": Verb(
        World.has_kept_server, created, swept_elsewhere, only=ON_A_KEPT_SERVER
    ),
    "stop, guest": Verb(
        connected_as_guest,
        lambda world, wiring: job(world, lambda: world.stop_by_admin(wiring)),
        everybody_cleans_up,
        only=ON_A_KEPT_SERVER,
    ),
    "sweep, guest": Verb(
        guest_half_done,
        lambda world, wiring: job(world, lambda: world.sweep(wiring)),
        swept_elsewhere,
        only=ON_A_KEPT_SERVER,
    ),
    "sweep elsewhere, guest": Verb(
        over_as_guest,
        lambda world, wiring: job(world, lambda: world.sweep_elsewhere(wiring)),
        swept_elsewhere,
        only=ON_A_KEPT_SERVER,
    ),
    "bake": Verb(lambda world: None, baked, everybody_cleans_up),
    "remove_image": Verb(
        has_image,
        lambda world, wiring: job(world, lambda: remove_image(world.admin_ports(wiring), world.images.baked()[0].name)),
        everybody_cleans_up,
    ),
    "stop, headscale": Verb(
        connected, lambda world, wiring: job(world, lambda: world.stop_by_admin(wiring)), everybody_cleans_up, HEADSCALE
    ),
}

KINDS = ("error", "ctrl-c", "killed", "hung")


def errors(kind: str, call: str) -> tuple[BaseException | None, ...]:
    """What a call raises; None: it does what it does."""
    port = call.partition(".")[0]
    assert port in MAY_RAISE, f"nobody said how {port} fails"
    first, *_ = MAY_RAISE[port]
    return {
        "error": MAY_RAISE[port],
        "ctrl-c": (KeyboardInterrupt(),),
        "killed": (Killed(),),
        "hung": (None, first),
    }[kind]


def faults(kind: str, calls: list[str]) -> Iterator[tuple[int, Side, BaseException | None]]:
    for number, call in enumerate(calls, start=1):
        for error in errors(kind, call):
            yield number, "before", error
            if kind != "hung" or error is None:  # to have done it, to hang and then to fail is what "error" does, later
                yield number, "after", error


def deed(world: World, kind: str, error: BaseException | None) -> Callable[[], None]:
    def strike() -> None:
        if kind == "hung":
            hanging(world.clock, LONG)()
        if error is not None:
            raise error

    return strike


@pytest.mark.parametrize("policy", [False, True], ids=["owner", "policy"])
@pytest.mark.parametrize("name", VERBS)
def test_undisturbed_it_leaves_nothing_once_both_have_stopped(
    make_world: Callable[..., World], library: Library, name: str, policy: bool
) -> None:
    verb = VERBS[name]
    world = make_world(library=library, policy=policy, transports=verb.transports)
    world.owner_agrees()
    verb.prepare(world)
    assert verb.run(world, FaultWiring()).error is None
    verb.again(world)
    assert world.left() == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", VERBS)
def test_nothing_stays_wherever_it_fails(
    make_world: Callable[..., World], library: Library, name: str, kind: str
) -> None:
    verb, calls = VERBS[name], counted(make_world, library, VERBS[name])
    struck = {number for number, call in enumerate(calls, start=1) if verb.strikes(call)}
    failed_at, left = set(), []
    for number, side, error in faults(kind, calls):
        if number not in struck:
            continue
        world = make_world(library=library, transports=verb.transports)
        world.owner_agrees()
        verb.prepare(world)
        wiring = FaultWiring(Fault(number, side, deed(world, kind, error), lasting=kind == "killed"))
        done = verb.run(world, wiring)
        where = f"{side} call {number}, {calls[number - 1]}, {error!r}"
        assert wiring.struck, f"nobody failed {where}"
        failed_at.add(number)
        if kind in ("ctrl-c", "killed") and done.error is not error:
            left.append(f"{where}: ended as {done.error!r}")
        if kind == "hung" and not isinstance(done.error, SupportTunnelError | OSError | None):
            left.append(f"{where}: ended as {done.error!r}")
        verb.again(world)
        left += [f"{where}: {thing}" for thing in world.left()]
        world.end()
    assert left == []
    assert failed_at == struck
    assert struck


def counted(make_world: Callable[..., World], library: Library, verb: Verb) -> list[str]:
    world, wiring = make_world(library=library, transports=verb.transports), FaultWiring()
    world.owner_agrees()
    verb.prepare(world)
    verb.run(world, wiring)
    world.end()
    return wiring.calls


def test_the_verbs_call_what_this_file_thinks_they_do(make_world: Callable[..., World], library: Library) -> None:
    """A verb that suddenly has no calls would pass everything above."""
    ports = {
        name: {call.partition(".")[0] for call in counted(make_world, library, verb)} for name, verb in VERBS.items()
    }
    as_guest = {
        *("account", "certifier", "cloud", "connector", "door", "guests", "ledger", "mailbox", "server", "vault")
    }
    assert ports == {
        "create_server": {"account", "certifier", "cloud", "connector", "door", "ledger", "mailbox", "server", "vault"},
        "request_and_connect": {"acquaintances", "hooks", "journal", "mailbox", "prompt", "shell", "vault"},
        "request_and_leave": {"journal", "mailbox", "prompt", "shell", "vault"},
        "go_on": {"acquaintances", "hooks", "journal", "mailbox", "shell", "vault"},
        "connect_approved": {"acquaintances", "hooks", "journal", "mailbox", "shell", "vault"},
        "expire": {"journal", "mailbox", "shell", "vault"},
        "bake": {"account", "cloud", "connector", "images", "ledger", "own_node", "server", "vault"},
        "remove_image": {"images"},
        "create_server, guest": as_guest,
        "create_server, guest, swept elsewhere": as_guest,
        "stop, guest": {"account", "cloud", "guests", "ledger", "mailbox", "own_node", "vault"},
        "sweep, guest": {"account", "cloud", "guests", "ledger", "mailbox", "own_node", "vault"},
        "sweep elsewhere, guest": {"cloud", "guests", "ledger", "vault"},
        "stop": {"account", "cloud", "ledger", "mailbox", "own_node", "vault"},
        "stop_by_owner": {"shell", "vault"},  # the rest is done by the keeper's ending
        "end_session": {"hooks", "journal", "mailbox", "shell", "vault"},
        "sweep": {"account", "cloud", "ledger", "mailbox", "own_node", "vault"},
        "keep": {"journal", "mailbox", "shell", "vault"},
        "clean_up": {"hooks", "journal", "mailbox", "shell", "vault"},
        # A helper and an organisation's certifier exclude each other.
        "create_server, helper": {
            *("account", "cloud", "connector", "coordinator", "door", "ledger", "mailbox", "server", "vault")
        },
        "create_server, headscale": {
            *(
                "account",
                "certifier",
                "cloud",
                "connector",
                "coordinator",
                "door",
                "ledger",
                "mailbox",
                "server",
                "vault",
            )
        },
        "request_and_connect, headscale": {"acquaintances", "hooks", "journal", "mailbox", "prompt", "shell", "vault"},
        "request_and_connect, auto": {"acquaintances", "hooks", "journal", "mailbox", "prompt", "shell", "vault"},
        "create_server, standing": {*("certifier", "coordinator", "door", "ledger", "mailbox", "own_node", "vault")},
        "request_and_connect, standing": {"acquaintances", "hooks", "journal", "mailbox", "prompt", "shell", "vault"},
        "stop, standing": {"coordinator", "ledger", "mailbox", "own_node", "vault"},
        "sweep, standing": {"cloud", "coordinator", "ledger", "own_node", "vault"},
        "stop, headscale": {
            "account",
            "cloud",
            "connector",
            "coordinator",
            "ledger",
            "mailbox",
            "own_node",
            "server",
            "vault",
        },
    }
