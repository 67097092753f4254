"""`meta/argument_specs.yml` beside Ansible's own validator: what we accept it accepts, and what we refuse besides is known."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import pytest
import yaml

from support_tunnel.core.errors import UsageError
from support_tunnel.desired.argument_specs import TYPES
from tests.desired.bench import Bench

pytestmark = pytest.mark.oracle

VALUES = [
    "x",
    "",
    "1",
    "1.5",
    "yes",
    "maybe",
    "a,b",
    "a=1",
    '{"a": 1}',
    "/p",
    0,
    1,
    1.5,
    True,
    False,
    [],
    ["a"],
    [1],
    {},
    {"a": 1},
]
CONVERTED = {
    "float": [[True], [False]],
    "int": [[True], [False]],
    "dict": [["a=1"], ['{"a": 1}']],
    "list": [["x"], [""], ["1"], ["1.5"], ["yes"], ["maybe"], ["a,b"], ["a=1"], ['{"a": 1}'], ["/p"], [0], [1], [1.5], [True], [False]],
    "path": [[0], [1], [1.5], [True], [False], [[]], [["a"]], [[1]], [{}], [{"a": 1}]],
    "str": [[[]], [["a"]], [[1]], [{}], [{"a": 1}]],
}  # fmt: skip
"""Values of another type, which Ansible would convert to check them and then hands to the role as they are."""
OTHERS: list[tuple[dict[str, object], object]] = [
    ({"type": "str", "choices": ["a", "b"]}, "a"),
    ({"type": "str", "choices": ["a", "b"]}, "c"),
    ({"type": "list", "elements": "str", "choices": ["a", "b"]}, ["a", "b"]),
    ({"type": "list", "elements": "str", "choices": ["a", "b"]}, ["a", "c"]),
    ({"type": "list", "elements": "int"}, [1, "2"]),
    ({"type": "list", "elements": "int"}, ["x"]),
    ({"type": "dict", "options": {"x": {"type": "bool", "required": True}}}, {"x": True}),
    ({"type": "dict", "options": {"x": {"type": "bool", "required": True}}}, {}),
    ({"type": "dict", "options": {"x": {"type": "bool", "required": True}}}, {"x": "maybe"}),
    ({"type": "dict", "options": {"x": {"type": "bool"}}}, {"y": 1}),
    ({"type": "list", "elements": "dict", "options": {"x": {"type": "int"}}}, [{"x": 1}, {}]),
    ({"type": "list", "elements": "dict", "options": {"x": {"type": "int"}}}, [{"x": "y"}]),
]
VALIDATE = """
import json, sys
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
json.dump([not ArgumentSpecValidator({"it": spec}).validate({"it": value}).error_messages for spec, value in json.load(sys.stdin)], sys.stdout)
"""


def ansible_accepts(cases: list[tuple[dict[str, object], object]]) -> list[bool]:
    done = subprocess.run(
        [sys.executable, "-c", VALIDATE],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    accepted: list[bool] = json.loads(done.stdout)
    return accepted


def we_accept(bench: Bench, spec: dict[str, object], value: object) -> bool:
    specs = {"argument_specs": {"main": {"options": {"it": spec}}}}
    bench.role("- debug: {msg: x}", meta__argument_specs=yaml.safe_dump(specs))
    try:
        bench.plan({"it": value})
    except UsageError as error:
        if error.code != "role.variable":
            raise
        return False
    return True


def test_types_mean_what_ansible_means_by_them(dash: Bench) -> None:
    cases: list[tuple[dict[str, object], object]] = [
        ({"type": kind}, value) for kind, value in itertools.product(TYPES, VALUES)
    ]
    stricter: dict[str, list[list[object]]] = {}
    for (spec, value), theirs in zip(cases, ansible_accepts(cases), strict=True):
        ours = we_accept(dash, spec, value)
        assert theirs or not ours, f"Ansible refuses {value!r} as {spec['type']}"
        if theirs and not ours:
            stricter.setdefault(str(spec["type"]), []).append([value])
    assert stricter == CONVERTED


def test_choices_elements_and_options_mean_the_same(dash: Bench) -> None:
    assert [we_accept(dash, *case) for case in OTHERS] == ansible_accepts(OTHERS)
