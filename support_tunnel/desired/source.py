"""YAML that remembers its lines. Reads plain data only: no tags, no duplicate keys, no aliases that hide where text came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support_tunnel.core.errors import UsageError
from support_tunnel.desired.place import Place

__all__ = ["Block", "Source", "read_source"]


class Block(dict[str, Any]):
    """A mapping that knows where it and each of its keys stand."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: dict[str, Place] = {}

    def at(self, key: str) -> Place:
        """Return where `key` stands, or where the mapping begins when it is not there."""
        return self.places.get(key, self.place)


class _Loader(yaml.SafeLoader):
    file = ""

    def place(self, node: yaml.Node) -> Place:
        return Place(self.file, node.start_mark.line + 1)

    def block(self, node: yaml.MappingNode) -> Block:
        block = Block(self.place(node))
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            place = self.place(key_node)
            if not isinstance(key, str):
                raise place.wrong("role.syntax", f"the key {key!r} must be a string")
            if key in block:
                raise place.wrong("role.syntax", f"the key '{key}' stands here twice")
            block.places[key] = place
            block[key] = self.construct_object(value_node, deep=True)
        return block

    def refuse(self, node: yaml.Node) -> object:
        raise self.place(node).unsupported(f"the YAML tag '{node.tag}'")


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.block)
_Loader.add_constructor(None, _Loader.refuse)  # None is PyYAML's word for every other tag


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a role; `data` is None when the file is empty or absent."""

    name: str
    data: Any

    @property
    def top(self) -> Place:
        return Place(self.name, 1)

    def block(self) -> Block:
        """Return the file's mapping, empty when there is no file."""
        if self.data is None:
            return Block(self.top)
        if not isinstance(self.data, Block):
            raise self.top.wrong("role.syntax", "this file must hold a mapping")
        return self.data

    def blocks(self) -> list[Block]:
        """Return the file's list of mappings, empty when there is no file."""
        items = [] if self.data is None else self.data
        if not isinstance(items, list):
            raise self.top.wrong("role.syntax", "this file must hold a list of tasks")
        for item in items:
            if not isinstance(item, Block):
                raise self.top.wrong("role.syntax", "each task must be a mapping")
        return items


def read_source(path: Path, name: str) -> Source:
    """Read one YAML file. Raises UsageError `role.syntax`."""
    if not path.is_file():
        return Source(name, None)
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        loader.file = name
        return Source(name, loader.get_single_data())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Place(name, line).wrong("role.syntax", f"not YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UsageError("role.syntax", f"{name}: not YAML in UTF-8", next_step=f"Look at {name}.") from None
