"""Words that several clouds share: a size or an image by its id, addresses, and tags where a cloud takes only few characters.

A node's size is named, not looked up: a list of a cloud's sizes is thousands of lines, and a wrong id is refused at create by
the cloud itself, in its own words.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from support_tunnel.adapters.clouds.row import Setting, Told
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import OpenPort, ServerSpec

__all__ = [
    "IMAGE", "SIZE", "SSH_FROM", "address", "addresses", "any_address", "by_word", "for_server", "heard", "image", "ipv6_alone", "labels", "listed_price", "location", "networks", "pairs", "size",
    "sources", "spoken", "tags_of", "words",
]  # fmt: skip

SIZE = Setting("size", "the cloud's own name of a server's size, in place of ours")
IMAGE = Setting("image", "the cloud's own id of a Debian image with cloud-init, in place of its newest Debian 13")
SSH_FROM = Setting(
    "ssh_from", "networks that may reach a server's SSH, e.g. `192.0.2.0/24 2001:db8::/32`", default="0.0.0.0/0 ::/0"
)


def addresses(meaning: str, *choices: str) -> Setting:
    """Of which families a server's public addresses are; the first choice is what it is where nothing is said."""
    return Setting("addresses", meaning, default=choices[0], choices=choices)


def ipv6_alone(told: Told, cloud: str, place: str = "") -> bool:
    """Whether a server is to have no public IPv4 address. Raises UsageError `config.missing` without the setting `place`, where it takes one."""
    alone = bool(told["addresses"] == "ipv6")
    if alone and place and not told[place]:
        raise UsageError(
            "config.missing", f"support_tunnel/clouds/{cloud}/{place} is missing",
            next_step=f"Name a {place} that gives IPv6 addresses: with `addresses: ipv6` a server has no others.",
        )  # fmt: skip
    return alone


_BEFORE = "x_"
"""Before a label that would begin with `_`: nothing else in `spoken` has two of them in a row."""


def by_word(kind: str, words: Mapping[str, str], ours: str, told: Told) -> str:
    """The cloud's word for one of ours, or what the inventory says instead. Raises UsageError `cloud.unknown-name`."""
    if told.get(kind):
        return str(told[kind])
    if ours not in words:
        known = ", ".join(sorted(words))
        raise UsageError("cloud.unknown-name", f"this cloud has no {kind} {ours!r}; it has {known}")
    return words[ours]


def size(driver: Any, name: str) -> Any:
    from libcloud.compute.base import NodeSize

    return NodeSize(name, name, 0, 0, 0, 0.0, driver)


def image(driver: Any, name: str) -> Any:
    from libcloud.compute.base import NodeImage

    return NodeImage(name, name, driver)


def location(driver: Any, name: str) -> Any:
    from libcloud.compute.base import NodeLocation

    return NodeLocation(name, name, "", driver)


def address(node: Any) -> str:
    """A public IPv4 address, else an IPv6 one; empty until it has one: at its private one nobody else may be able to reach it."""
    return _best(node.public_ips)


def any_address(node: Any) -> str:
    """As `address`, else whatever there is: some clouds list a flat network's as private."""
    return _best((*node.public_ips, *node.private_ips))


def _best(texts: Iterable[str | None]) -> str:
    known = list(_addresses(texts))
    public = [one for one in known if one.is_global]
    for found in (*[one for one in public if one.version == 4], *public, *known):
        return str(found)
    return ""


def _addresses(texts: Iterable[str | None]) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """A text that is none belongs to a server that has none yet."""
    for text in texts:
        with suppress(ValueError):
            yield ipaddress.ip_address(text or "")


def networks(told: Told) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Those of `ssh_from`. Raises UsageError `config.type`."""
    for word in re.split(r"[\s,]+", str(told["ssh_from"]).strip()):
        try:
            yield ipaddress.ip_network(word)
        except ValueError:
            raise UsageError("config.type", f"ssh_from: {word!r} is not a network such as 192.0.2.0/24") from None


def listed_price(driver: str, size: str, region: str) -> float | None:
    """US dollars an hour by libcloud's own list, where it has one; its 0.0 means that it does not know."""
    from libcloud.pricing import get_size_price

    try:
        found = get_size_price("compute", driver, size, region=region)
    except KeyError:
        return None
    return float(found) if found else None


def sources(port: OpenPort, told: Told) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Who may reach a port: the admin's networks its SSH, everybody the rest, since nobody knows where the device is."""
    everybody = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    return list(networks(told)) if port == OpenPort("tcp", 22) else everybody


def spoken(text: str, limit: int = 63) -> str:
    """Any text in lower-case letters, digits, `-` and `_`, a letter or digit at both ends: what every cloud's labels take.

    `heard` reverses it, but for what is cut off beyond `limit`.
    """
    plain = r"[a-z0-9]|(?<=.)-(?=.)"  # a dash at an end is written out
    kept = "".join(
        text[at] if re.compile(plain).match(text, at) else "".join(f"_{byte:02x}" for byte in text[at].encode())
        for at in range(len(text))
    )
    if kept.startswith("_"):
        kept = _BEFORE + kept
    return re.sub(r"(_[0-9a-f]?|-+)$", "", kept[:limit]) if len(kept) > limit else kept


def heard(text: str) -> str:
    return re.sub(
        r"(?:_[0-9a-f]{2})+",
        lambda found: bytes.fromhex(found[0].replace("_", "")).decode(errors="replace"),
        re.sub(rf"^{_BEFORE}(?=_)", "", text),
    )


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags for a cloud whose labels take few characters."""
    return {name: spoken(value) for name, value in tags.items()}


def tags_of(found: Mapping[str, Any] | None) -> Mapping[str, str]:
    return {name: heard(str(value)) if name.startswith("st-") else str(value) for name, value in (found or {}).items()}


def words(tags: Mapping[str, str], limit: int) -> list[str]:
    """Tags for a cloud that has only words."""
    return [f"{name}:{spoken(value, limit - len(name) - 1)}" for name, value in tags.items()]


def pairs(found: Iterable[str]) -> Mapping[str, str]:
    """Back from `words`."""
    return tags_of({name: value for word in found for name, colon, value in [word.partition(":")] if colon})


def for_server(spec: ServerSpec) -> Mapping[str, str]:
    """Tags of what is opened for a server."""
    return {name: value for name, value in spec.tags.items() if name.startswith("st-")}
