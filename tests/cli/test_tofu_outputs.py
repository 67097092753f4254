"""What OpenTofu made reaches the settings by one file, typed, and nothing else of it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.cli import paths
from support_tunnel.cli.admin.settings import AdminSettings, load_admin_settings, load_with_origins
from support_tunnel.cli.admin.tofu_outputs import ApiHost, read_tofu_outputs
from support_tunnel.cli.api.deploy_task import deploy
from support_tunnel.core.errors import UsageError

SETTINGS = {
    "api": "https://support.example.org",
    "cloud": "gce",
    "clouds": {"gce": {"project": "st-prod-1", "region": "europe-west3-b"}},
}
HOST = {"address": "203.0.113.7", "domain": "support.example.org", "login": "operator"}


def output(value: object, *, sensitive: object = False) -> dict[str, object]:
    """One output as `tofu output -json` writes it."""
    return {"sensitive": sensitive, "type": "dynamic", "value": value}


def write(folder: Path, name: str = "prod", **outputs: object) -> Path:
    file = folder / f"{name}.tofu.json"
    file.write_text(json.dumps(outputs))
    return file


def load(folder: Path, text: str, **environ: str) -> AdminSettings:
    inventory = folder / "all.yml"
    inventory.write_text(text)
    return load_admin_settings({"SUPPORT_TUNNEL_INVENTORY": str(inventory), **environ})


def test_both_outputs_are_read(tmp_path: Path) -> None:
    write(tmp_path, settings=output(SETTINGS), api_host=output({**HOST, "database": "10.79.0.3"}))
    made = read_tofu_outputs(tmp_path)
    assert made is not None
    assert made.settings == SETTINGS
    assert made.api_host == ApiHost(**HOST, database="10.79.0.3")


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert read_tofu_outputs(tmp_path) is None
    assert read_tofu_outputs(tmp_path / "no such folder") is None


def test_settings_lie_between_the_inventory_and_the_environment(tmp_path: Path) -> None:
    write(tmp_path, settings=output(SETTINGS))
    text = "support_tunnel:\n  api: https://file\n  name: File\n  cloud: local\n"
    assert load(tmp_path, text).api == "https://support.example.org"
    assert (load(tmp_path, text).cloud, load(tmp_path, text).name) == ("gce", "File")
    assert load(tmp_path, text, SUPPORT_TUNNEL_API="https://environment").api == "https://environment"


def test_a_cloud_is_put_together_from_both(tmp_path: Path) -> None:
    write(tmp_path, settings=output(SETTINGS))
    clouds = load(
        tmp_path, "support_tunnel:\n  clouds:\n    local: {}\n    gce: {credentials: 'file:/k', region: old}\n"
    ).clouds
    assert clouds == {
        "local": {},
        "gce": {"credentials": "file:/k", "region": "europe-west3-b", "project": "st-prod-1"},
    }


def test_where_a_value_came_from_is_said(tmp_path: Path) -> None:
    write(tmp_path, settings=output(SETTINGS))
    load(tmp_path, "support_tunnel: {name: File}\n")
    _, origins = load_with_origins({"SUPPORT_TUNNEL_INVENTORY": str(tmp_path / "all.yml")})
    assert origins == {"name": "file", "api": "opentofu", "cloud": "opentofu", "clouds": "opentofu"}


def test_of_several_environments_one_is_named(tmp_path: Path) -> None:
    write(tmp_path, "prod", settings=output(SETTINGS))
    write(tmp_path, "trial", settings=output({"api": "https://trial"}))
    with pytest.raises(UsageError) as refused:
        load(tmp_path, "support_tunnel: {}\n")
    assert (refused.value.code, "prod, trial" in refused.value.message) == ("config.environment", True)
    assert load(tmp_path, "support_tunnel: {}\n", SUPPORT_TUNNEL_ENVIRONMENT="trial").api == "https://trial"
    with pytest.raises(UsageError) as refused:
        load(tmp_path, "support_tunnel: {}\n", SUPPORT_TUNNEL_ENVIRONMENT="pro")
    assert refused.value.code == "config.environment"


@pytest.mark.parametrize(
    ("outputs", "code", "named"),
    [
        ({"password": output("x")}, "config.unknown", "prod.tofu.json: password"),
        ({"settings": output({"token": "x"})}, "config.unknown", "settings/token"),
        ({"settings": output({"api": 5})}, "config.type", "settings/api"),
        ({"settings": output({"clouds": {"gce": 3}})}, "config.type", "settings/clouds/gce"),
        ({"settings": output(["x"])}, "config.type", "settings"),
        ({"settings": output(SETTINGS, sensitive=True)}, "config.sensitive", "settings"),
        ({"settings": {"value": SETTINGS}}, "config.sensitive", "settings"),
        ({"settings": SETTINGS["api"]}, "config.type", "settings"),
        ({"api_host": output({**HOST, "password": "x"})}, "config.unknown", "api_host/password"),
        ({"api_host": output({**HOST, "login": None})}, "config.type", "api_host/login"),
        ({"api_host": output({**HOST, "login": "a\nb"})}, "config.type", "api_host/login"),
        ({"api_host": output({"address": "203.0.113.7"})}, "config.type", "api_host/domain"),
    ],
)
def test_what_is_not_known_or_not_right_is_named_by_its_path(
    tmp_path: Path, outputs: dict[str, Any], code: str, named: str
) -> None:
    write(tmp_path, **outputs)
    with pytest.raises(UsageError) as refused:
        load(tmp_path, "support_tunnel: {}\n")
    assert (refused.value.code, named in refused.value.message) == (code, True), refused.value.message


@pytest.mark.parametrize("text", ["", "[]", "{", "Warning: No outputs found", "\0"])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "prod.tofu.json").write_text(text)
    with pytest.raises(UsageError) as refused:
        load(tmp_path, "support_tunnel: {}\n")
    assert refused.value.code in ("config.syntax", "config.type")


@pytest.mark.parametrize("host", [HOST["address"], HOST["domain"]])
def test_a_host_that_was_made_is_deployed_to_by_its_own_name(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as the ssh key of that host, which nobody knows here; a flag has the last word."""
    write(tmp_path, api_host=output(HOST))
    assert deployed(host, tmp_path, monkeypatch) == "ssh.unknown"
    assert deployed(host, tmp_path, monkeypatch, domain="no name") == "usage.domain"
    assert deployed("other.example.org", tmp_path, monkeypatch) == "usage.domain"


def test_a_deploy_and_the_settings_look_beside_the_same_inventory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, named = tmp_path / "usual", tmp_path / "named"
    for folder in (usual, named):
        folder.mkdir()
    write(named, settings=output(SETTINGS), api_host=output(HOST))
    assert deployed(HOST["domain"], usual, monkeypatch) == "usage.domain"
    assert load(named, "support_tunnel: {}\n").api == SETTINGS["api"]
    assert deployed(HOST["domain"], usual, monkeypatch, inventory=named / "all.yml") == "ssh.unknown"
    assert deployed(HOST["domain"], usual, monkeypatch, inventory=named / "none.yml") == "config.inventory"


def deployed(host: str, folder: Path, monkeypatch: pytest.MonkeyPatch, inventory: Path | str = "", **words: str) -> str:
    """The code of the error that it ends with."""
    monkeypatch.setenv("SUPPORT_TUNNEL_INVENTORY", str(inventory))
    monkeypatch.setattr(paths, "inventory", lambda: folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("SUPPORT_TUNNEL_ENVIRONMENT", raising=False)
    (folder / "login").write_text("a key")
    with pytest.raises(UsageError) as refused:
        deploy.body.__wrapped__(None, host, acme="a@b.example", identity=str(folder / "login"), **words)
    return refused.value.code
