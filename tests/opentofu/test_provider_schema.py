"""The schemas that opentofu/ is checked against are what the published bindings say, and the reader of those refuses what it does not know."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.core.errors import HostError
from tests.opentofu.tofu import SCHEMAS, schema_of
from tools import provider_schema
from tools.provider_bindings import Bindings, UnreadableError
from tools.provider_schema import documents, packages, schema_document, used_types

GOOGLE = schema_of("google")["provider_schemas"]["registry.opentofu.org/hashicorp/google"]
INSTANCE = GOOGLE["resource_schemas"]["google_compute_instance"]["block"]


@pytest.fixture(scope="module")
def bindings() -> dict[str, Path]:
    """The real packages; skipped where the package index does not have them."""
    try:
        return packages()
    except HostError as error:
        if "No matching distribution found" not in error.message:
            raise
        pytest.skip(error.message)


@pytest.mark.usefixtures("bindings")
def test_the_files_are_what_the_packages_say() -> None:
    """Downloads both packages where this machine has not had them yet, 50 MB, every file checked by its hash."""
    made = documents()
    assert sorted(made) == sorted(SCHEMAS.glob("*.json"))
    differing = [path.name for path, text in made.items() if path.read_text() != text]
    assert differing == [], "run: .venv/bin/python -m tools.provider_schema"


def test_required_optional_and_computed_are_told_apart() -> None:
    attributes = INSTANCE["attributes"]
    assert attributes["machine_type"] == {"required": True, "type": "string"}
    assert attributes["description"] == {"optional": True, "type": "string"}
    assert attributes["cpu_platform"] == {"computed": True, "type": "string"}
    assert attributes["zone"] == {"computed": True, "optional": True, "type": "string"}


def test_lists_sets_and_maps_are_told_apart() -> None:
    attributes = INSTANCE["attributes"]
    assert attributes["resource_policies"]["type"] == ["list", "string"]
    assert attributes["tags"]["type"] == ["set", "string"]
    assert attributes["metadata"]["type"] == ["map", "string"]
    database = GOOGLE["resource_schemas"]["google_sql_database_instance"]["block"]["attributes"]
    assert database["ip_address"]["type"] == [
        "list",
        ["object", {"ip_address": "string", "time_to_retire": "string", "type": "string"}],
    ]


def test_how_often_a_block_may_be_there() -> None:
    blocks = INSTANCE["block_types"]
    assert {key: blocks["boot_disk"][key] for key in ("nesting_mode", "min_items", "max_items")} == {
        "nesting_mode": "list",
        "min_items": 1,
        "max_items": 1,
    }
    assert ("max_items" in blocks["attached_disk"], blocks["timeouts"]["nesting_mode"]) == (False, "single")
    assert blocks["network_interface"]["block"]["block_types"]["access_config"]["nesting_mode"] == "list"


def test_what_our_files_use_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.tf").write_text(
        'resource "google_b" "x" {\n}\ndata "google_a" "x" {\n}\nresource "other_c" "x" {\n}\n# resource "google_d" "x" {\n'
    )
    assert used_types("google", tmp_path) == [("data", "google_a"), ("resource", "google_b")]


def test_half_a_package_is_downloaded_again_and_a_whole_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"google": b"all of it", "digitalocean": b"all of this, too"}
    pins = (
        f"cdktf-cdktf-provider-{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(data).hexdigest()}\n"
        for name, data in content.items()
    )
    (tmp_path / "pins.txt").write_text("".join(pins))
    monkeypatch.setattr(provider_schema, "PACKAGES", tmp_path / "pins.txt")
    monkeypatch.setenv("SUPPORT_TUNNEL_TOOLS_CACHE", str(tmp_path))
    downloads: list[Path] = []
    fails = True

    def download(command: Sequence[str | Path], *, timeout: float) -> None:
        folder = Path(command[command.index("--dest") + 1])
        downloads.append(folder)
        for name, data in content.items():
            half = data[: len(data) // 2] if fails else data
            (folder / f"cdktf_cdktf_provider_{name}-1.0-py3-none-any.whl").write_bytes(half)
        if fails:
            raise HostError("process.timeout", "interrupted")

    monkeypatch.setattr(processes, "run", download)
    with pytest.raises(HostError):
        packages()
    assert list(provider_schema.cache().iterdir()) == []
    fails = False
    assert {name: file.read_bytes() for name, file in packages().items()} == content
    packages()
    assert len(downloads) == 2
    packages()["google"].write_bytes(b"all")
    assert {name: file.read_bytes() for name, file in packages().items()} == content
    assert len(set(downloads)) == 3
    assert sorted(provider_schema.cache().iterdir()) == sorted(packages().values())


def test_a_type_that_the_provider_does_not_have_is_an_error(bindings: dict[str, Path]) -> None:
    with pytest.raises(UnreadableError, match="resource digitalocean_dropped"):
        schema_document(bindings["digitalocean"], "digitalocean", [("resource", "digitalocean_dropped")])


ONE = """
export interface ThingConfig extends cdktf.TerraformMetaArguments {
}
export class Thing extends cdktf.TerraformResource {
  // name - computed: false, optional: false, required: true
  private _name?: @TYPE@; 
  public get name() {
    return this.@GETTER@('name');
  }
}
"""


def test_a_binding_that_is_written_otherwise_is_refused_and_not_guessed_at() -> None:
    known = ONE.replace("@TYPE@", "string").replace("@GETTER@", "getStringAttribute")
    assert Bindings(known).block() == {"attributes": {"name": {"type": "string", "required": True}}}
    with pytest.raises(UnreadableError, match="Thing: name: of which type"):
        Bindings(ONE.replace("@TYPE@", "Colour").replace("@GETTER@", "getColourAttribute")).block()
    with pytest.raises(UnreadableError, match="0 resources"):
        Bindings("export class Thing {}\n")
