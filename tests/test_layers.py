"""Imports point inward: the rule of each layer, checked over the AST, with the reason that its breaker reads.

Reads source text only. It must not import the modules it judges, except in a child process.

Over 300 lines: the rules, their walker and the snippets that prove each able to fail are read together.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "support_tunnel"


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer may name besides the standard library and itself."""

    ours: frozenset[str]
    third_parties: frozenset[str]
    reason: str


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def layer(ours: str, third_parties: str, reason: str) -> Layer:
    return Layer(words(ours), words(third_parties), reason)


LAYERS = {
    "core": layer("", "cryptography", "the domain is computed, so it is tested in milliseconds and moved anywhere"),
    "desired": layer(
        "core", "jinja2 yaml", "roles become scripts without a host, so the script can be read and tested"
    ),
    "flows": layer(
        "core desired", "", "a flow orders port calls; one that names an adapter cannot be failed at each step"
    ),
    "adapters": layer(
        "core",
        "cryptography fabric httpx invoke libcloud paramiko requests rich segno",
        "an adapter touches the world for a port and decides nothing",
    ),
    "api": layer(
        "core",
        "alembic cryptography fastapi limits psycopg psycopg_pool pydantic sqlalchemy starlette uvicorn",
        "the mailbox relays bytes it cannot read, and is installed without the rest",
    ),
    "testing": layer(
        "core adapters cli",
        "cryptography",
        "fakes of ports, real servers on loopback, the program with a fault in it: nothing in the package imports it",
    ),
    "cli": layer(
        "core desired flows adapters api",
        "fabric invoke yaml",
        "reads settings, wires, prints; what it needs of another library belongs in an adapter",
    ),
    "device": layer(
        "core flows adapters cli",
        "",
        "what other programs on a device call: the same flows and wiring as `inv`, no second way",
    ),
}

WORLD = words(
    "asyncio http logging multiprocessing os random shutil signal socket sqlite3 ssl subprocess "
    "tempfile threading time urllib"
)
"""Modules of the standard library that reach outside the process, or hold its state."""

NO_WORLD = {"core": WORLD | {"pathlib"}, "flows": WORLD}
"""A flow may hand a Path to `desired`, which reads; core has no use for one."""

HEAVY = words(
    "alembic ansible fabric fastapi httpx jinja2 libcloud limits paramiko psycopg psycopg_pool pydantic requests rich "
    "sqlalchemy starlette uvicorn yaml"
)
"""Slow to import: `inv --list` and `fab --list` may not pay for them."""

STARTS_PROCESSES = {"subprocess"}
MAY_START_PROCESSES = re.compile(r"support_tunnel\.adapters\.processes")

NOT_ON_A_DEVICE = (
    "alembic", "ansible", "fabric", "fastapi", "libcloud", "limits", "paramiko", "psycopg", "pydantic", "rich", "sqlalchemy",
)  # fmt: skip
DEVICE_LAYERS = ("core", "desired", "flows")


# --- reading imports ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module. `early` ones happen when the module is imported."""

    name: str
    line: int
    early: bool


def is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def imports(tree: ast.AST, *, early: bool = True, typing_only: bool = False) -> Iterator[Import]:
    """Walk every import, in functions and under TYPE_CHECKING too: a type we depend on is a dependency."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, early and not typing_only)
        elif isinstance(node, ast.ImportFrom):
            ours = top(node.module or "") == PACKAGE  # `from a import b` may name our module a.b, or a thing in a
            names = [f"{node.module}.{alias.name}" for alias in node.names] if ours else [node.module or "."]
            for name in names:
                yield Import(name, node.lineno, early and not typing_only)
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            yield from imports(ast.Module(node.body, []), early=False, typing_only=True)
            yield from imports(ast.Module(node.orelse, []), early=early, typing_only=typing_only)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, early=early and not inside, typing_only=typing_only)


def top(name: str) -> str:
    return name.split(".", 1)[0]


def layer_of(module: str) -> str:
    """Name the layer of one of our modules; the package itself, whose __init__ holds the version, is ''."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else ""


def violations(module: str, source: str) -> Iterator[str]:
    """Yield one sentence for each thing in `module` that breaks its layer."""
    mine = layer_of(module)
    if not mine:
        return
    rule = LAYERS[mine]
    tree = ast.parse(source)
    for found in imports(tree):
        where = f"{module}:{found.line} imports {found.name}"
        name = top(found.name)
        if name == PACKAGE:
            theirs = layer_of(found.name)
            if theirs and theirs != mine and theirs not in rule.ours:
                yield f"{where}: {mine} may not name {theirs}: {rule.reason}"
        elif name in sys.stdlib_module_names:
            if name in NO_WORLD.get(mine, ()):
                yield f"{where}: {mine} does no I/O: {rule.reason}"
            if name in STARTS_PROCESSES and not MAY_START_PROCESSES.fullmatch(module):
                yield f"{where}: processes start in adapters/processes.py, by one set of rules"
        elif name not in rule.third_parties:
            yield f"{where}: {mine} may not name {name}: {rule.reason}"
    for node in ast.walk(tree) if mine in NO_WORLD else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "input"}:
            yield f"{module}:{node.lineno} calls {node.func.id}: {mine} does no I/O: {rule.reason}"


# --- reach: what an import pulls in ---------------------------------------------------------------------------------


def early_heavy(sources: dict[str, str], roots: list[str]) -> Iterator[str]:
    """Yield each chain of module-level imports from `roots` to a heavy library."""
    seen: set[str] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in roots]
    while waiting:
        module, chain = waiting.pop(0)
        if module in seen or module not in sources:
            continue
        seen.add(module)
        for found in imports(ast.parse(sources[module])):
            if not found.early:
                continue
            if top(found.name) in HEAVY:
                yield f"{' -> '.join(chain)}:{found.line} imports {found.name} early: import it in the function that needs it"
            parts = found.name.split(".")
            waiting += [
                (parent, (*chain, parent))
                for end in range(1, len(parts) + 1)
                if (parent := ".".join(parts[:end])) in sources
            ]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """Every module of the package and the two task files, by name."""
    paths = [*(ROOT / PACKAGE).rglob("*.py"), *ROOT.glob("fabfile.py"), *ROOT.glob("tasks.py")]
    return {module_name(path): path.read_text() for path in paths}


# --- the package ----------------------------------------------------------------------------------------------------


def test_every_folder_of_the_package_is_a_layer() -> None:
    folders = {path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")}
    assert folders == set(LAYERS)


SIDES = {"": set(), "device": set(), "api": {"admin"}, "admin": {"api"}}
"""What each folder of `cli` may name of the others; "" is `cli` itself, which all three stand on. A device holds nothing of an admin's."""


def crossings(module: str, source: str) -> Iterator[str]:
    """Yield one sentence for each import from one side's folder of `cli` into another's."""
    mine = side_of(module)
    for found in imports(ast.parse(source)) if mine is not None else ():
        theirs = side_of(found.name)
        if theirs and theirs != mine and theirs not in SIDES[mine or ""]:
            yield f"{module}:{found.line} imports {found.name}: {mine or 'what all sides share'} may not name {theirs}"


def side_of(module: str) -> str | None:
    """None outside `cli`."""
    package, layer_, *rest = [*module.split("."), "", ""]
    if (package, layer_) != (PACKAGE, "cli"):
        return None
    return rest[0] if rest[0] in SIDES else ""


def test_the_sides_of_cli_keep_apart(sources: dict[str, str]) -> None:
    folders = {path.parent.name for path in (ROOT / PACKAGE / "cli").glob("*/__init__.py")}
    assert folders == set(SIDES) - {""}
    assert [line for name, source in sources.items() for line in crossings(name, source)] == []


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("support_tunnel.cli.paths", "from support_tunnel.cli.admin import settings", True),
        ("support_tunnel.cli.device.wiring", "def f():\n    from support_tunnel.cli.admin.settings import x", True),
        ("support_tunnel.cli.admin.wiring", "import support_tunnel.cli.device.wiring", True),
        ("support_tunnel.cli.admin.tasks", "from support_tunnel.cli.api import tasks", False),
        ("support_tunnel.cli.device.wiring", "from support_tunnel.cli import paths", False),
        ("support_tunnel.device.entry", "from support_tunnel.cli.device import wiring", False),
    ],
)
def test_a_side_that_reaches_over_is_named(module: str, source: str, found: bool) -> None:
    assert bool(list(crossings(module, source))) == found


def test_imports_point_inward(sources: dict[str, str]) -> None:
    assert [line for name, source in sources.items() for line in violations(name, source)] == []


def test_listing_tasks_imports_nothing_heavy(sources: dict[str, str]) -> None:
    assert list(early_heavy(sources, ["fabfile", "tasks"])) == []


LOOK_AND_END = (
    *("support_tunnel.cli.device.keeper", "support_tunnel.cli.device.wiring", "support_tunnel.cli.admin.wiring"),
    *("support_tunnel.flows.admin.stop", "support_tunnel.flows.admin.sweep"),
)
"""What each session starts several times and in a hurry: its keeper, its end, a look at it, a clean-up."""


def test_who_looks_and_ends_loads_neither_the_compiler_nor_certificates() -> None:
    program = (
        f"import importlib, sys\nfor name in {LOOK_AND_END!r}: importlib.import_module(name)\n"
        "print(sorted({'cryptography.x509', 'jinja2', 'support_tunnel.desired.compile'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_device_requirements_stay_light() -> None:
    lines = (ROOT / "requirements/device.txt").read_text().splitlines()
    names = {line.split("==")[0] for line in lines if "==" in line}
    assert "cryptography" in names
    assert names.isdisjoint({*NOT_ON_A_DEVICE, "apache-libcloud", "ansible-core"})


def import_without(blocked: tuple[str, ...], modules: list[str]) -> subprocess.CompletedProcess[str]:
    """Import `modules` in a fresh interpreter in which `blocked` are not installed."""
    program = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({blocked!r}))\n"  # None there makes an import fail, see the import system's reference
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_device_side_imports_without_the_admin_side(sources: dict[str, str]) -> None:
    modules = sorted(name for name in sources if layer_of(name) in DEVICE_LAYERS or name == "tasks")
    done = import_without(NOT_ON_A_DEVICE, modules)
    assert done.returncode == 0, done.stderr


# --- the rules can fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("support_tunnel.core.code", "import httpx", "core may not name httpx"),
        ("support_tunnel.core.code", "from support_tunnel.flows import request", "core may not name flows"),
        ("support_tunnel.core.code", "import os", "core does no I/O"),
        ("support_tunnel.core.st1.kdf", "import socket", "core does no I/O"),
        ("support_tunnel.core.code", "text = open('x').read()", "core does no I/O"),
        ("support_tunnel.flows.sweep", "import time", "flows does no I/O"),
        (
            "support_tunnel.desired.role",
            "from support_tunnel.adapters.clock import SystemClock",
            "desired may not name adapters",
        ),
        ("support_tunnel.flows.sweep", "from support_tunnel import adapters", "flows may not name adapters"),
        (
            "support_tunnel.flows.sweep",
            "def f():\n    import support_tunnel.adapters.clock",
            "flows may not name adapters",
        ),
        ("support_tunnel.flows.sweep", "import jinja2", "flows may not name jinja2"),
        ("support_tunnel.adapters.ssh", "import subprocess", "processes start in"),
        ("support_tunnel.adapters.ssh", "from subprocess import run", "processes start in"),
        ("support_tunnel.adapters.ssh", "import fastapi", "adapters may not name fastapi"),
        ("support_tunnel.adapters.ssh", "from support_tunnel.cli import output", "adapters may not name cli"),
        ("support_tunnel.api.app", "import paramiko", "api may not name paramiko"),
        ("support_tunnel.cli.wiring", "from support_tunnel.testing import clock", "cli may not name testing"),
        ("support_tunnel.cli.wiring", "from . import output", "imports ."),
        (
            "support_tunnel.core.code",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import paramiko",
            "core may not name paramiko",
        ),
        ("support_tunnel.core.code", "try:\n    import yaml\nexcept ImportError:\n    pass", "core may not name yaml"),
    ],
)
def test_a_wrong_import_is_named(module: str, source: str, complaint: str) -> None:
    assert [line for line in violations(module, source) if complaint in line]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("support_tunnel.core.code", "from __future__ import annotations"),
        ("support_tunnel.core.code", "import hmac\nfrom cryptography.hazmat.primitives import hashes"),
        ("support_tunnel.flows.sweep", "from support_tunnel.core.ports import Cloud"),
        ("support_tunnel.adapters.processes", "import subprocess"),
        ("support_tunnel.cli.wiring", "from support_tunnel.adapters.clock import SystemClock\nimport invoke"),
    ],
)
def test_a_right_import_passes(module: str, source: str) -> None:
    assert list(violations(module, source)) == []


def test_a_heavy_import_is_found_through_others() -> None:
    modules = {
        "tasks": "from support_tunnel.cli import device",
        "support_tunnel.cli": "",
        "support_tunnel.cli.device": "from support_tunnel.adapters.http import Client",
        "support_tunnel.adapters.http": "import httpx",
    }
    (line,) = early_heavy(modules, ["tasks"])
    assert line.startswith("tasks -> support_tunnel.cli.device -> support_tunnel.adapters.http:1 imports httpx")


@pytest.mark.parametrize(
    "late",
    [
        "def connect():\n    import httpx",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import httpx",
        "import typing\nif typing.TYPE_CHECKING:\n    import httpx",
    ],
)
def test_a_late_heavy_import_passes(late: str) -> None:
    assert list(early_heavy({"tasks": late}, ["tasks"])) == []


def test_an_early_else_of_type_checking_counts() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import httpx"
    assert list(early_heavy({"tasks": source}, ["tasks"]))


def test_a_blocked_library_cannot_be_imported() -> None:
    assert import_without(("paramiko",), ["paramiko"]).returncode != 0
