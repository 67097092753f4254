"""Hosts and their variables from an inventory in Ansible's YAML format; what of it we do not support is refused by line.

Variables are merged in Ansible's order. Reads files only; what a variable means to a connection is `host_login`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support_tunnel.core.errors import UsageError
from support_tunnel.desired.place import Place
from support_tunnel.desired.source import Block, Source, read_source

__all__ = ["Inventory", "InventoryHost", "read_inventory"]

EVERYBODY, NO_GROUP = "all", "ungrouped"
SUFFIXES = (".yml", ".yaml")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")


@dataclass(frozen=True, slots=True)
class InventoryHost:
    name: str
    groups: tuple[str, ...]
    variables: Mapping[str, Any]
    places: Mapping[str, Place]
    """Where each variable was written."""
    implicit: bool = False
    """`localhost` that no inventory names, which Ansible reaches without ssh."""


@dataclass(slots=True)
class _Group:
    variables: list[Block] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    children: dict[str, Place] = field(default_factory=dict)


@dataclass(slots=True)
class Inventory:
    """Groups and hosts by name, in the order in which they were written."""

    folder: Path
    groups: dict[str, _Group] = field(default_factory=lambda: {EVERYBODY: _Group(), NO_GROUP: _Group()})
    hosts: dict[str, list[Block]] = field(default_factory=dict)

    def select(self, pattern: str) -> list[InventoryHost]:
        """The hosts of a comma-separated list of hosts and groups. Raises UsageError `inventory.unknown`."""
        wanted: set[str] = set()
        for word in filter(None, (part.strip() for part in pattern.split(","))):
            if word in self.groups:
                wanted |= set(self.hosts) if word == EVERYBODY else self._below(word)
            elif word in self.hosts or word == "localhost":
                wanted.add(word)
            else:
                raise UsageError(
                    "inventory.unknown",
                    f"the inventory {self.folder} has no host and no group '{word}'",
                    next_step=f"It has the hosts {', '.join(self.hosts) or '(none)'}; patterns are not supported.",
                )
        names = [name for name in (*self.hosts, "localhost") if name in wanted]
        return [self._host(name) for name in dict.fromkeys(names)]

    def _below(self, group: str) -> set[str]:
        if group == NO_GROUP:
            return {name for name in self.hosts if not self._groups_of(name)}
        inside = self.groups[group]
        return inside.hosts.union(*(self._below(child) for child in inside.children))

    def _groups_of(self, host: str) -> list[str]:
        named = [name for name in self.groups if name not in (EVERYBODY, NO_GROUP) and host in self._below(name)]
        return sorted(named, key=lambda name: (self.depth(name), name))

    def depth(self, group: str, seen: tuple[str, ...] = ()) -> int:
        """How far below `all`; of two groups the deeper one's variables win."""
        parents = [name for name, about in self.groups.items() if group in about.children]
        for parent in parents:
            if parent in (*seen, group):
                raise self.groups[parent].children[group].wrong("inventory.cycle", f"group '{group}' contains itself")
        return 1 + max((self.depth(parent, (*seen, group)) for parent in parents if parent != EVERYBODY), default=0)

    def _host(self, name: str) -> InventoryHost:
        groups = self._groups_of(name) or [NO_GROUP]
        order = [EVERYBODY, *groups]
        written = [block for group in order for block in self.groups[group].variables]
        # Ansible's order: what stands in the inventory file about groups, then group_vars/, then the same of the host.
        blocks = [*written, *(block for group in order for block in self._files("group_vars", group))]
        blocks += [*self.hosts.get(name, []), *self._files("host_vars", name)]
        variables: dict[str, Any] = {}
        places: dict[str, Place] = {}
        for block in blocks:
            variables |= block
            places |= block.places
        return InventoryHost(name, tuple(sorted(groups)), variables, places, implicit=name not in self.hosts)

    def _files(self, kind: str, name: str) -> Iterator[Block]:
        parent = self.folder / kind
        found = [path for path in (parent / name, *(parent / f"{name}{end}" for end in SUFFIXES)) if path.exists()]
        if len(found) > 1:
            raise Place(_shown(found[1]), 1).wrong("inventory.twice", f"{_shown(found[0])} is there too")
        for path in found:
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                if file.suffix not in SUFFIXES:
                    raise Place(_shown(file), 1).unsupported("a file of variables that is not .yml")
                yield _plain(_read(file).block())


def read_inventory(path: Path) -> Inventory:
    """Read a file, or a folder's .yml files. Raises UsageError `inventory.*` (or `role.*` for its YAML) with file and line."""
    if not path.exists():
        raise UsageError("inventory.missing", f"there is no inventory {path}", next_step="Give one: --inventory PATH.")
    files: Sequence[Path] = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
    inventory = Inventory(path if path.is_dir() else path.parent)
    for file in files:
        top = _read(file).block()
        for name in top:
            _group(inventory, name, top)
    for name in inventory.groups:
        inventory.depth(name)
    return inventory


def _group(inventory: Inventory, name: str, parent: Block) -> None:
    place = parent.at(name)
    if not NAME.fullmatch(name):
        raise place.unsupported(f"the group name {name!r}")
    group = inventory.groups.setdefault(name, _Group())
    block = _mapping(parent, name)
    for key in block:
        if key not in ("hosts", "vars", "children"):
            raise block.at(key).wrong("inventory.syntax", f"a group has hosts, vars and children, not '{key}'")
    group.variables.append(_plain(_mapping(block, "vars")))
    hosts = _mapping(block, "hosts")
    for host in hosts:
        if not NAME.fullmatch(host) or host in inventory.groups:
            raise hosts.at(host).unsupported(f"the host name {host!r} (a range, or the name of a group)")
        group.hosts.add(host)
        inventory.hosts.setdefault(host, []).append(_plain(_mapping(hosts, host)))
    children = _mapping(block, "children")
    for child in children:
        group.children[child] = children.at(child)
        _group(inventory, child, children)


def _mapping(block: Block, key: str) -> Block:
    value = block.get(key)
    if value is None:
        return Block(block.at(key))
    if not isinstance(value, Block):
        raise block.at(key).wrong("inventory.syntax", f"'{key}' must hold a mapping")
    return value


def _plain(block: Block) -> Block:
    """Ansible would render templates in variables; ours are data, so there may be none."""
    for key, value in block.items():
        _refuse_templates(value, block.at(key))
    return block


def _refuse_templates(value: object, place: Place) -> None:
    if isinstance(value, str) and re.search(r"\{[{%#]", value):
        raise place.unsupported("a template in the inventory")
    if isinstance(value, Block):
        for key, inner in value.items():
            _refuse_templates(inner, value.at(key))
    elif isinstance(value, list):
        for inner in value:
            _refuse_templates(inner, place)


def _read(path: Path) -> Source:
    return read_source(path, _shown(path))


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
