"""The filters of Ansible's that roles may use, with Ansible's semantics; tests/desired/test_oracle.py compares them one by one."""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from jinja2.exceptions import FilterArgumentError

__all__ = ["FILTERS", "FORBIDDEN", "truth"]

TRUE_WORDS = frozenset({"yes", "on", "true", "1"})
FALSE_WORDS = frozenset({"no", "off", "false", "0"})

FORBIDDEN = frozenset({"random", "pprint", "groupby", "unique", "min", "max", "round", "urlize"})
"""Jinja's own that Ansible replaces with something else, or whose result differs from run to run: refused, not guessed."""


def truth(value: object) -> bool:
    """Ansible's `bool`: its words for true and false, and nothing else."""
    word = str(value).lower() if isinstance(value, (str, int)) else ""
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise FilterArgumentError(f"{value!r} is not one of yes, no, on, off, true, false, 1, 0")


def to_json(value: object, *, indent: int | None = None, sort_keys: bool = False) -> str:
    return json.dumps(value, indent=indent, sort_keys=sort_keys)


def to_nice_json(value: object, indent: int = 4, sort_keys: bool = True) -> str:
    return json.dumps(value, indent=indent, sort_keys=sort_keys, separators=(",", ": "))


def to_nice_yaml(value: object, indent: int = 4) -> str:
    return yaml.safe_dump(value, indent=indent, allow_unicode=True, default_flow_style=False)


def b64encode(value: object) -> str:
    return base64.b64encode(str(value).encode()).decode()


def b64decode(value: str) -> str:
    return base64.b64decode(value).decode()


def hash_of(value: object, kind: str = "sha1") -> str:
    return hashlib.new(kind, str(value).encode(), usedforsecurity=False).hexdigest()


def quote(value: object) -> str:
    return shlex.quote("" if value is None else str(value))


def ternary(value: object, true: object, false: object, none: object = None) -> object:
    if value is None and none is not None:
        return none
    return true if bool(value) else false


def combine(first: Mapping[str, object], *others: Mapping[str, object]) -> dict[str, object]:
    merged = dict(first)
    for other in others:
        merged.update(other)
    return merged


FILTERS: dict[str, Callable[..., Any]] = {
    "b64decode": b64decode,
    "b64encode": b64encode,
    "basename": posixpath.basename,
    "bool": truth,
    "combine": combine,
    "dirname": posixpath.dirname,
    "hash": hash_of,
    "quote": quote,
    "ternary": ternary,
    "to_json": to_json,
    "to_nice_json": to_nice_json,
    "to_nice_yaml": to_nice_yaml,
}
