"""Read the schema of one resource out of its binding for CDK for Terraform: TypeScript that HashiCorp's generator wrote from that schema.

Each class of a binding says above every attribute whether it is computed, optional or required; how it is read says of which type it is;
its interface says which of its nested structs are blocks. `tools/provider_schema.py` says where the text comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Bindings", "Json", "UnreadableError"]

Json = dict[str, Any]

_FLAGS = r"// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n"
_FIELD = r"\s*private _\w+\??: ([^;\n]+?)(?: \| undefined)?;"
_GETTERS: Mapping[str, object] = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getNumberMapAttribute": ["map", "number"],
    "getBooleanMapAttribute": ["map", "bool"],
}
_FIELDS: Mapping[str, object] = {
    "string": "string",
    "number": "number",
    "boolean | cdktf.IResolvable": "bool",
    "string[]": ["list", "string"],
    "{ [key: string]: string }": ["map", "string"],
}


class UnreadableError(Exception):
    """The bindings are written in a way that this reader does not know."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One attribute or block as the bindings' class has it."""

    name: str
    computed: bool
    optional: bool
    required: bool
    code: str


class Bindings:
    """The TypeScript of one resource, data source or provider."""

    def __init__(self, source: str) -> None:
        parts = re.split(r"^export (class|interface|function) (\w+)", source, flags=re.MULTILINE)
        self._parts: dict[tuple[str, str], str] = {}
        for kind, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            self._parts[kind, name] = text
        bases = {name: text for (kind, name), text in self._parts.items() if kind == "class"}
        tops = [name for name, text in bases.items() if re.match(r" extends cdktf\.Terraform\w+ ", text)]
        if len(tops) != 1:
            raise UnreadableError(f"{len(tops)} resources in one file")
        self.top = tops[0]

    def block(self, struct: str = "") -> Json:
        """`struct` is the name of a nested one; the whole resource without it."""
        attributes: Json = {}
        blocks: Json = {}
        declared = self._parts.get(("interface", struct or f"{self.top}Config"), "")
        for entry in self._entries(struct):
            inner, single, is_set = _nested(entry)
            if inner and f"* {entry.name} block\n" in declared:
                blocks[entry.name] = self._block_type(struct, inner, entry, single=single)
            elif not inner or self._is_known(inner):
                attributes[entry.name] = self._attribute(entry, inner, single=single, is_set=is_set)
        return {"attributes": attributes} | ({"block_types": blocks} if blocks else {})

    def plain_attributes(self) -> Json:
        """Of a provider: its settings that are no block."""
        fields = {entry: re.match(_FIELD, entry.code) for entry in self._entries("")}
        return {
            entry.name: self._attribute(entry, "", single=False, is_set=False)
            for entry, field in fields.items()
            if field and field[1] in _FIELDS
        }

    def _entries(self, struct: str) -> Iterator[Entry]:
        code = self._parts["class", f"{struct}OutputReference" if struct else self.top]
        found = list(re.finditer(_FLAGS, code))
        for mark, following in zip(found, [*found[1:], None], strict=True):
            text = code[mark.end() : following.start() if following else len(code)]
            computed, optional, required = (mark[number] == "true" for number in (2, 3, 4))
            yield Entry(mark[1], computed, optional, required, text)

    def _is_known(self, struct: str) -> bool:
        """A provider's own nested settings have no class; they are left out, and opentofu/ may not use them."""
        return ("class", f"{struct}OutputReference") in self._parts

    def _block_type(self, outer: str, inner: str, entry: Entry, *, single: bool) -> Json:
        function = f"{outer[:1].lower()}{outer[1:]}ToHclTerraform"
        code = self._parts["function", function] if outer else self._parts["class", self.top]
        mode = re.search(rf"\b{entry.name}: {{\s+value: .*\s+isBlock: true,\s+type: \"(\w+)\"", code)
        if mode is None:
            raise UnreadableError(f"{self.top}: {outer}: how often is the block {entry.name}?")
        if mode[1] == "struct":
            return {"nesting_mode": "single", "block": self.block(inner)}
        kind: Json = {"nesting_mode": mode[1], "block": self.block(inner)}
        return kind | ({"min_items": 1} if entry.required else {}) | ({"max_items": 1} if single else {})

    def _attribute(self, entry: Entry, inner: str, *, single: bool, is_set: bool) -> Json:
        kind = self._object(inner) if inner else _plain(entry, self.top)
        if inner and not single:
            kind = ["set" if is_set else "list", kind]
        flags = {"required": entry.required, "optional": entry.optional, "computed": entry.computed}
        return {"type": kind} | {name: True for name, on in flags.items() if on}

    def _object(self, struct: str) -> object:
        inner = self.block(struct)
        kinds = {name: attribute["type"] for name, attribute in inner["attributes"].items()}
        for name, nested in inner.get("block_types", {}).items():
            raise UnreadableError(f"{self.top}: {struct}: the block {name} in an attribute: {nested}")
        return ["object", kinds]


def _nested(entry: Entry) -> tuple[str, bool, bool]:
    """Say which struct an entry holds ("" for none), whether one of it, and whether a set of it."""
    made = re.search(r"= new (\w+)\(this, \"\w+\"(?:, (true|false))?\)", entry.code)
    if made is None:
        return "", False, False
    if made[1].endswith("OutputReference"):
        return made[1].removesuffix("OutputReference"), True, False
    if made[1].endswith("List"):
        return made[1].removesuffix("List"), False, made[2] == "true"
    raise UnreadableError(f"{entry.name}: {made[1]}")


def _plain(entry: Entry, where: str) -> object:
    if re.search(r"= new cdktf\.StringMap\(", entry.code):
        return ["map", "string"]
    getter = re.search(r"this\.(get\w+Attribute)\('", entry.code)
    if getter and getter[1] in _GETTERS:
        kind = _GETTERS[getter[1]]
        return ["set", kind[1]] if isinstance(kind, list) and "Fn.tolist(" in entry.code else kind
    field = re.match(_FIELD, entry.code)
    if field and field[1] in _FIELDS:
        return _FIELDS[field[1]]
    raise UnreadableError(f"{where}: {entry.name}: of which type?")
