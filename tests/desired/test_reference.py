"""docs/roles.md is the reference: what it lists is what the code accepts, word for word and in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from support_tunnel.desired import argument_specs
from support_tunnel.desired.facts import FACTS
from support_tunnel.desired.filters import FILTERS, FORBIDDEN
from support_tunnel.desired.modules import IMPORT, MODULES
from support_tunnel.desired.modules.commands import FREE_FORM
from support_tunnel.desired.role import FOLDERS, KEYS
from support_tunnel.desired.templating import environment

PAGE = (Path(__file__).parents[2] / "docs/roles.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def words(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def rows(title: str) -> list[list[str]]:
    """The cells of the section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if words(line)]


def same(found: Iterable[str], wanted: Iterable[str]) -> None:
    listed = list(found)
    assert len(listed) == len(set(listed)), "something stands there twice"
    assert set(listed) == set(wanted)


def test_every_module_and_argument() -> None:
    page = {module: words(row[1]) for row in rows("Modules") for module in words(row[0])}
    same(page, MODULES)
    for module, arguments in page.items():
        same(arguments, MODULES[module].arguments - {FREE_FORM})


def test_every_key() -> None:
    same([word for row in rows("Keys of a task") for word in words(row[0])], KEYS)
    assert f"`{IMPORT}` takes a `file`" in section("Keys of a task")


def test_every_filter_test_and_function() -> None:
    made = environment([])
    page = {row[0]: words(row[1]) for row in rows("Templates")}
    same(page["filters of Ansible's"], FILTERS)
    same(page["filters of Jinja's"], made.filters.keys() - FILTERS.keys())
    same(page["tests"], made.tests)
    same(page["functions"], made.globals.keys() - {"omit"})
    same(words(section("Templates").split("run to run:")[1].split(";")[0]), FORBIDDEN)


def test_every_fact() -> None:
    same(words(section("Facts").split("has ")[1].split(", as")[0]), FACTS)


def test_the_folder_and_its_argument_specs() -> None:
    folder = section("The folder")
    files = [word.split("/")[0] for row in rows("The folder") for word in words(row[0])]
    assert set(files) == FOLDERS - {"README.md"}
    described = folder.split("An option of `argument_specs` may have ")[1].split("\n\n")[0]
    options, types = described.split("Types: ")
    same(words(options), argument_specs.KNOWN)
    same(words(types), argument_specs.TYPES)
