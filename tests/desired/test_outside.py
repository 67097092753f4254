"""What Ansible has and we have not, by Ansible's own lists: each is refused with its line, and no host is even connected to."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml

from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import Shell
from support_tunnel.desired.modules import IMPORT, MODULES
from support_tunnel.desired.role import KEYS
from support_tunnel.desired.templating import environment
from support_tunnel.flows.admin.converge import Target, converge
from support_tunnel.flows.library import Library
from tests.desired.bench import Bench
from tests.desired.test_covered import tasks

OUTSIDE = "is outside the supported subset; see docs/roles.md"
COPY = {"content": "x", "dest": "/x", "mode": "0600"}


def ansible() -> Path:
    spec = importlib.util.find_spec("ansible")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def documented(module: Path) -> Mapping[str, Any]:
    """The arguments of a module, as its own documentation has them."""
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION":
            options: Mapping[str, Any] = yaml.safe_load(ast.literal_eval(node.value)).get("options", {})
            return options
    return {}


def names(folder: str, pattern: str) -> list[str]:
    return sorted(path.stem for path in (ansible() / folder).glob(pattern) if not path.stem.startswith("_"))


ALL_MODULES = names("modules", "*.py")
ARGUMENTS = {module: documented(ansible() / f"modules/{module}.py") for module in MODULES}
MORE_KEYS = sorted(yaml.safe_load((ansible() / "keyword_desc.yml").read_text()).keys() - KEYS)
OTHER_ARGUMENTS = [
    (module, name)
    for module, about in MODULES.items()
    for name in sorted({*ARGUMENTS[module], "unsafe_writes", "attributes", "selevel"} - about.arguments)
]


def refused(bench: Bench, task: Mapping[str, object]) -> str:
    """Converge a role that has this task, and return what was said of it."""

    def connect() -> AbstractContextManager[Shell]:
        raise AssertionError("a host was contacted")

    bench.role(yaml.safe_dump([{"debug": {"msg": "before"}}, task]))
    targets = [Target("host", {}, connect)]
    library = Library(bench.base / "roles", bench.base / "templates")
    with pytest.raises(UsageError) as caught:
        converge(targets, ["demo"], library, at_once=lambda work, items: iter([work(item) for item in items]))
    return caught.value.message


def test_ansible_is_read_whole() -> None:
    assert len(ALL_MODULES) > 60
    assert MODULES.keys() <= {*ALL_MODULES}
    assert {*KEYS, "environment", "delegate_to"} <= {*KEYS, *MORE_KEYS}
    assert all(ARGUMENTS[module] for module in MODULES)


@pytest.mark.parametrize("module", sorted({*ALL_MODULES} - MODULES.keys() - {IMPORT}))
def test_any_other_module(dash: Bench, module: str) -> None:
    for name in (module, f"ansible.builtin.{module}"):
        assert refused(dash, {name: {}}) == f"roles/demo/tasks/main.yml:3: module '{name}' {OUTSIDE}"


@pytest.mark.parametrize("key", MORE_KEYS)
def test_any_other_key(dash: Bench, key: str) -> None:
    said = refused(dash, {"copy": COPY, key: True})
    assert said.startswith("roles/demo/tasks/main.yml:")
    assert said.endswith(f"key '{key}' {OUTSIDE}")


@pytest.mark.parametrize(("module", "argument"), OTHER_ARGUMENTS)
def test_any_other_argument_even_where_nothing_would_run(dash: Bench, module: str, argument: str) -> None:
    said = refused(dash, {module: {argument: True}, "when": False})
    assert said.endswith(f"argument '{argument}' of module '{module}' {OUTSIDE}")


FILTERS = sorted({*names("plugins/filter", "*.yml"), "groupby", "max", "min"} - environment([]).filters.keys())
TESTS = sorted({*names("plugins/test", "*.yml")} - environment([]).tests.keys())


@pytest.mark.parametrize(
    ("kind", "name"), [*(("filter", name) for name in FILTERS), *(("test", name) for name in TESTS)]
)
def test_any_other_filter_or_test(dash: Bench, kind: str, name: str) -> None:
    said = refused(
        dash, {"debug": {"msg": f"{{{{ x {'|' if kind == 'filter' else 'is'} {name} }}}}"}, "vars": {"x": "y"}}
    )
    assert said == f"roles/demo/tasks/main.yml:4: the {kind} '{name}' {OUTSIDE}"


SMALLEST: Mapping[str, dict[str, object]] = {
    "apt": {"name": "x"},
    "file": {"path": "/x", "mode": "0700", "src": "/y"},
    "group": {"name": "x"},
    "lineinfile": {"path": "/x", "regexp": "x", "line": "x"},
    "package": {"name": "x"},
    "service": {"name": "x"},
    "systemd": {"name": "x"},
    "systemd_service": {"name": "x"},
    "user": {"name": "x"},
}
"""What each module that has an argument with choices needs besides; `src` only where it is not refused."""


def choices() -> Iterator[tuple[str, str, object]]:
    for module, options in ARGUMENTS.items():
        for name in options.keys() & MODULES[module].arguments:
            yield from ((module, name, choice) for choice in options[name].get("choices", ()))


@pytest.mark.parametrize(("module", "argument", "choice"), sorted(choices(), key=str))
def test_each_choice_of_an_argument_is_refused_or_judged_by_ansible(
    dash: Bench, module: str, argument: str, choice: object
) -> None:
    family = [name for name, about in MODULES.items() if about.read is MODULES[module].read]
    judged = any(
        isinstance(task.get(name), dict) and task[name].get(argument) == choice for task in tasks() for name in family
    )
    if judged:
        return
    given = {**SMALLEST[module], argument: choice}
    assert OUTSIDE in refused(dash, {module: given})
