"""The admin's settings: layers, types, and that a secret is never a value."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
import yaml

from support_tunnel.cli.admin.settings import AdminSettings, load_admin_settings
from support_tunnel.cli.secret_source import is_source, read_secret
from support_tunnel.core.errors import UsageError


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None, **flags: str) -> AdminSettings:
    inventory = tmp_path / "all.yml"
    inventory.write_text(text)
    return load_admin_settings({"SUPPORT_TUNNEL_INVENTORY": str(inventory), **(environ or {})}, **flags)


def test_lowest_to_highest(tmp_path: Path) -> None:
    text = "support_tunnel:\n  api: https://file\n  name: File\n  cloud: local\n"
    assert load(tmp_path, text).api == "https://file"
    assert load(tmp_path, text, {"SUPPORT_TUNNEL_API": "https://environment"}).api == "https://environment"
    assert load(tmp_path, text, {"SUPPORT_TUNNEL_API": "https://environment"}, api="https://flag").api == "https://flag"
    assert load(tmp_path, text, {"SUPPORT_TUNNEL_API": "https://environment"}).name == "File"


def test_numbers_come_as_such_or_as_text(tmp_path: Path) -> None:
    text = "support_tunnel:\n  tunnel_minutes: 10\n"
    assert load(tmp_path, text).tunnel_minutes == 10
    assert load(tmp_path, text, {"SUPPORT_TUNNEL_TUNNEL_MINUTES": "20"}).limits.usual == 1200


def test_the_defaults_may_be_written_down(tmp_path: Path) -> None:
    """As tests of whole sessions do: every setting in the file, each as it is anyway."""
    file = tmp_path / "inventory.yml"
    file.write_text(yaml.safe_dump({"support_tunnel": dataclasses.asdict(AdminSettings())}))
    assert load_admin_settings({"SUPPORT_TUNNEL_INVENTORY": str(file)}) == AdminSettings()


def test_other_peoples_keys_of_the_inventory_are_theirs(tmp_path: Path) -> None:
    assert load(tmp_path, "ansible_user: root\nsupport_tunnel:\n  name: Ada\n").name == "Ada"


def test_the_shipped_inventory_loads() -> None:
    settings = load_admin_settings({})
    assert settings.cloud in settings.clouds


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("support_tunnel:\n  apii: x\n", "support_tunnel/apii"),
        ("support_tunnel:\n  api: 5\n", "support_tunnel/api "),
        ('support_tunnel:\n  name: "a\\nb"\n', "support_tunnel/name"),
        ("support_tunnel: x\n", "support_tunnel"),
        ("support_tunnel:\n  clouds: [local]\n", "support_tunnel/clouds"),
        ("support_tunnel:\n  clouds: {local: 3}\n", "support_tunnel/clouds/local"),
        ("support_tunnel:\n  refuse_code_on_argv: perhaps\n", "support_tunnel/refuse_code_on_argv"),
        ("support_tunnel:\n  tunnel_minutes: true\n", "support_tunnel/tunnel_minutes"),
        ("support_tunnel:\n  tunnels_at_once: -1\n", "support_tunnel/tunnels_at_once"),
        ("support_tunnel:\n  tunnel_minutes_most: 3.5\n", "support_tunnel/tunnel_minutes_most"),
        ("a: [\n", "all.yml"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path, text)
    assert named in refused.value.message


def test_a_secret_comes_from_where_it_is_said_to_be(tmp_path: Path) -> None:
    value = os.urandom(8).hex()
    file = tmp_path / "token"
    file.write_text(value + "\n")
    environ = {"A_TOKEN": value}
    assert read_secret(f"file:{file}", "it").reveal() == value
    assert read_secret("env:A_TOKEN", "it", environ).reveal() == value
    assert read_secret(f"cmd:cat {file}", "it").reveal() == value
    assert "A_TOKEN" not in environ  # no child inherits it


def test_a_secret_given_as_a_value_is_refused_and_not_repeated() -> None:
    value = os.urandom(8).hex()
    assert not is_source(value)
    with pytest.raises(UsageError) as refused:
        read_secret(value, "the API token")
    assert value not in refused.value.message + refused.value.next_step


def test_the_originals_token_variable_is_the_last_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    old = {"ADMIN_AUTH_TOKEN": os.urandom(8).hex()}
    assert load(tmp_path, "", old).token == "env:ADMIN_AUTH_TOKEN"
    assert load(tmp_path, "support_tunnel:\n  token: cmd:pass it\n", old).token == "cmd:pass it"
    assert load(tmp_path, "", {**old, "SUPPORT_TUNNEL_TOKEN": "env:OTHER"}).token == "env:OTHER"
    file = tmp_path / ".config" / "support_tunnel" / "token"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    assert load(tmp_path, "", old).token.startswith("file:")


@pytest.mark.parametrize("source", ["file:/nonexistent/token", "env:NOT_SET"])
def test_a_source_that_is_not_there_is_named(source: str) -> None:
    with pytest.raises(UsageError, match="the API token") as refused:
        read_secret(source, "the API token", {})
    assert refused.value.code == "secret.source"
