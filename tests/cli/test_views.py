"""`fab settings`: each value, its origin, and no secret, however it was written down."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from support_tunnel.cli.admin.settings import load_with_origins
from support_tunnel.cli.admin.settings_shown import HIDDEN, ShownSetting, ends_of_life, shown


def look(tmp_path: Path, environ: dict[str, str] | None = None, **values: object) -> dict[str, ShownSetting]:
    inventory = tmp_path / "all.yml"
    inventory.write_text(yaml.safe_dump({"support_tunnel": values}))
    rows = shown(*load_with_origins({"SUPPORT_TUNNEL_INVENTORY": str(inventory), **(environ or {})}, name="Flag"))
    return {row.name: row for row in rows}


def test_each_value_has_its_origin(tmp_path: Path) -> None:
    rows = look(
        tmp_path, {"SUPPORT_TUNNEL_API": "https://api.example"}, api="https://file.example", cloud="local", name="File"
    )
    assert (rows["api"].value, rows["api"].origin) == ("https://api.example", "environment")
    assert (rows["cloud"].value, rows["cloud"].origin) == ("local", "file")
    assert (rows["name"].value, rows["name"].origin) == ("Flag", "flag")
    assert (rows["state"].origin, rows["runtime"].value) == ("default", "")


def test_a_value_is_shown_as_it_would_be_written(tmp_path: Path) -> None:
    rows = look(tmp_path, clouds={"far": {"driver": "digitalocean", "region": "fra1"}}, refuse_code_on_argv=True)
    assert {name: rows[name].text() for name in ("api", "cloud", "refuse_code_on_argv", "spend_cap", "tunnel_minutes")} == {
        "api": "-", "cloud": "local", "refuse_code_on_argv": "true", "spend_cap": "-", "tunnel_minutes": "30"
    }  # fmt: skip
    assert yaml.safe_load(rows["clouds"].text()) == {"far": {"driver": "digitalocean", "region": "fra1"}}


def test_where_a_secret_is_may_be_read(tmp_path: Path) -> None:
    assert look(tmp_path, token="env:API_TOKEN")["token"].value == "env:API_TOKEN"
    assert look(tmp_path, signer="~/.ssh/signer")["signer"].value == "~/.ssh/signer"


@pytest.mark.parametrize(
    "written",
    [
        {"token": "CANARY"},
        {"token": "cmd:vault read -token=CANARY"},
        {"api": "https://ann:CANARY@api.example:8443"},
        {"api": "https://api.example/?key=CANARY"},
        {"proxy": "http://ann:CANARY@proxy.example:3128"},
        {"proxy_password": "CANARY"},
        {"proxy_password": "cmd:vault read CANARY"},
        {"clouds": {"local": {}, "far": {"secret_key": "CANARY"}}},
        {"clouds": {"local": {}, "far": {"apikey": "CANARY"}}},
        {"clouds": {"local": {}, "far": {"credentials": {"password": "CANARY"}}}},
        {"clouds": {"local": {}, "far": {"tokens": ["CANARY"]}}},
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path, written: dict[str, object]) -> None:
    canary = os.urandom(8).hex()
    said = str(look(tmp_path, **json.loads(json.dumps(written).replace("CANARY", canary))))
    assert canary not in said
    assert HIDDEN in said


def test_settings_say_of_each_cloud_what_ends_a_server_and_what_one_that_is_off_costs() -> None:
    said = list(ends_of_life({"ec2": {}, "hetzner": {}, "mars": {}}))
    assert len(said) == 2
    assert "terminates it" in said[0]
    assert "off costs nothing" in said[0]
    assert "billed until `fab sweep`" in said[1]
