"""What there is to say about a cloud. A row only translates; another cloud is another row, never a branch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from support_tunnel.core.device_health import Check
from support_tunnel.core.ports import Image, Login, ServerSpec

__all__ = ["Baking", "CloudRow", "Firewall", "Look", "Opened", "Setting", "Told", "Wanted"]

Told = Mapping[str, Any]
"""A cloud's settings as the inventory has them: text by name, a Secret where the row says so."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a cloud in the inventory."""

    name: str
    meaning: str
    needed: bool = False
    secret: bool = False
    """Given as file:PATH, env:NAME or cmd:PROGRAM, never as itself."""
    default: str = ""
    choices: tuple[str, ...] = ()
    """The words that it may be; empty: any text."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A firewall of ours as the cloud lists it. `tags` are those of the server that it was opened for."""

    id: str
    name: str
    tags: Mapping[str, str]
    rules: tuple[str, ...] = ()
    """Names of its rules, where the cloud knows rules only."""


@dataclass(frozen=True, slots=True)
class Firewall:
    """Open ports of one server: opened before it is made, closed when it is gone. Each may be asked twice."""

    open: Callable[[Any, ServerSpec, Told], Any]
    """Make it, named and tagged as the server; what it returns goes into the arguments of the server.

    What has its name was made a moment ago by a try whose answer was lost: whatever else `listed` showed is gone before.
    """
    listed: Callable[[Any, Told], Sequence[Opened]]
    """At least those that carry our tag."""
    close: Callable[[Any, Opened, Told], None]
    """Remove one as it was listed, without a look at the others; fails while a server still uses it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tunnel server and what it takes, in the cloud's own words."""

    region: str
    size: str
    image: str
    rights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """One question of `fab doctor` to a cloud. It may be asked at any time and makes nothing."""

    name: str
    """What is not known when it may not be asked."""
    ask: Callable[[Any, Wanted, Told], Iterable[Check]]
    """Told the driver. Raises what the driver raises."""
    right: str = ""
    """What it takes, where that is no right that a tunnel server takes."""
    of_region: bool = True
    """Whether there is no answer to it in a region that does not exist."""


@dataclass(frozen=True, slots=True)
class Baking:
    """Images of our own, made of a server. Only `listed` and `remove` may be asked twice."""

    make: Callable[[Any, Any, str, Mapping[str, str], Told], object]
    """Begin one of this node, with this name and these tags."""
    listed: Callable[[Any, Told], Sequence[Image]]
    """At least those that carry our tag, unfinished ones too."""
    remove: Callable[[Any, str, Told], object]
    """Remove the one of this id, with the disk's copy that it is made of."""
    of_what_is_off: bool = True
    """Whether the server turns itself off before. Not where that would end it."""
    rights: str = ""
    """What it takes beyond the row's `permissions`, in the cloud's own words."""


@dataclass(frozen=True, slots=True)
class CloudRow:
    name: str
    connect: Callable[[Told], Any]
    """Make a driver. One a thread: drivers mix up threads' answers."""
    arguments: Callable[[Any, ServerSpec, Told, Any], dict[str, Any]]
    """Arguments of `create_node` besides the name, user-data and tags included; the last is what the firewall's `open` gave."""
    tags: Callable[[Any], Mapping[str, str]]
    """The tags of a libcloud node."""
    address: Callable[[Any], str]
    genuine: Callable[[Any], bool]
    """Ask something whose true answer is never empty: a login page answered with 200 reads as "no servers" to some drivers."""
    title: str = ""
    settings: tuple[Setting, ...] = ()
    listed: Callable[[Any], list[Any]] = lambda driver: list(driver.list_nodes())
    """The servers, at least all of ours: filtered by the cloud itself where it can."""
    create: Callable[[Any, str, dict[str, Any]], Any] = lambda driver, name, arguments: driver.create_node(
        name=name, **arguments
    )
    made: Callable[[Any, str], bool | None] | None = None
    """Where the answer to a create only promises the server of an id: whether it is made by now; None: it was not even begun.

    Raises what the cloud says went wrong. Such a create may be sent again, whole.
    """
    destroy: Callable[[Any, Any], object] = lambda driver, node: driver.destroy_node(node)
    tidy: Callable[[Any, datetime], object] | None = None
    """Remove what ended servers leave in the account, where that is only clutter; the time by which what is over is told from what is not."""
    firewall: Firewall | None = None
    baking: Baking | None = None
    """None: we make no images there."""
    sizes: Mapping[str, str] = field(default_factory=dict)
    """Its word for each of our size classes."""
    images: Mapping[str, str] = field(default_factory=dict)
    """Its word for each of our image families."""
    forgotten: frozenset[str] = frozenset({"terminated"})
    """Node states that are as good as gone: some clouds list an ended server for an hour."""
    user_data_limit: int = 0
    """Most bytes of user-data that it takes; 0 is no limit of its own."""
    boot_seconds: float = 180.0
    """Within how long a server there has read its user-data and answers by ssh; longer where its image must first install cloud-init."""
    login: Callable[[Told], Login | None] = lambda told: None
    """Where its servers were there before and are to stay."""
    only_wireguard: bool = False
    """Whether its servers are made no Headscale servers."""
    ends_itself: str = ""
    """What ends a server there when nobody comes back, beyond what the server does itself; empty: nothing."""
    billed_when_off: bool = True
    """Whether a server that has powered itself off still costs money until somebody removes it."""
    console: str = ""
    """Where a person ends a server by hand."""
    permissions: tuple[str, ...] = ()
    """The least that its credentials need, in the cloud's own words."""
    written: Callable[[Any, Any], str] = lambda driver, node: ""
    """What a node has written on its console, or the end of it; empty where the cloud does not keep that."""
    looks: tuple[Look, ...] = ()
    """The one that finds whether the region exists comes first."""
    accepted: Callable[[Any], object] | None = None
    """Ask something that only an account is answered, where the list of servers needs more than right credentials."""
    hourly: Callable[[Any, ServerSpec, Told], float | None] = lambda driver, spec, told: None
    """US dollars an hour of such a server, where the driver or the cloud can tell."""
