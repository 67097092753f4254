"""docs/operations.md: what an operator copies from it is taken by the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.adapters.clouds.told import check
from support_tunnel.cli import paths
from support_tunnel.cli.admin import tasks as admin_tasks
from support_tunnel.cli.admin.settings import load_admin_settings
from support_tunnel.cli.api.tasks import host_tasks
from support_tunnel.desired.compile import compile_roles
from tests.cli.test_names import every_name, parsed

PAGE = (paths.REPOSITORY / "docs" / "operations.md").read_text()
BLOCKS = {text.splitlines()[0].removeprefix("# "): text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)}


def test_the_settings_of_the_sweeping_machine(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yml"
    file.write_text(BLOCKS["/etc/support_tunnel/sweep.yml"])
    settings = load_admin_settings({"SUPPORT_TUNNEL_INVENTORY": str(file)})
    assert settings.clouds == {"local": {}}


def test_a_cloud_of_the_sweeping_machine(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yml"
    file.write_text(BLOCKS["a cloud to be swept"])
    settings = load_admin_settings({"SUPPORT_TUNNEL_INVENTORY": str(file)})
    (name,) = settings.clouds
    check(CLOUDS[name], settings.clouds[name], f"clouds/{name}")
    defaults = yaml.safe_load((paths.library().roles / "sweep_timer" / "defaults" / "main.yml").read_text())
    assert f"-g {defaults['sweep_timer_user']}\n" in BLOCKS["a cloud to be swept"]


def test_the_variables_of_its_role() -> None:
    library = paths.library()
    variables = yaml.safe_load(BLOCKS["host_vars/watcher.yml"])
    script = compile_roles(library.roles, ("sweep_timer",), variables, templates=library.templates).script.reveal()
    assert "support-tunnel-sweep.timer" in script
    assert "/etc/support_tunnel/sweep.yml" in variables["sweep_timer_command"]


@pytest.mark.parametrize("line", sorted(set(re.findall(r"^(?: {4})?(fab [a-z][^`#\n]+)", PAGE, re.MULTILINE))))
def test_a_command_of_the_page_is_one(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    task, _ = parsed(line, monkeypatch)
    assert task in every_name(admin_tasks.namespace())


def test_the_commands_on_the_apis_host_are_there() -> None:
    told = set(re.findall(r"support-tunnel-api (token\.[a-z]+|backup|restore|history)", PAGE))
    assert told == {"token.create", "token.list", "token.revoke", "backup", "restore", "history"}
    assert told <= every_name(host_tasks())
