"""A real OpenTofu, with a stand-in for each provider that knows the provider's own schema (tools/stand-in-provider).

Nothing here reaches a network: providers come from a folder, and there is no other way to get one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OPENTOFU = ROOT / "opentofu"
SCHEMAS = Path(__file__).with_name("schemas")
CONFIGURATIONS = ("digitalocean", "gcp")
"""Folders of opentofu/ that somebody applies."""


def schema_of(provider: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SCHEMAS / f"{provider}.json").read_text())
    return document


def make_mirror(folder: Path, stand_in: Path, platform: str) -> None:
    """Lay out a mirror of providers as OpenTofu reads one: address, version, platform, program."""
    for file in sorted(SCHEMAS.glob("*.json")):
        document = schema_of(file.stem)
        (address,) = document["provider_schemas"]
        place = folder / address / document["source"]["provider_version"] / platform
        place.mkdir(parents=True)
        shutil.copy(file, place / "schema.json")
        (place / f"terraform-provider-{file.stem}").hardlink_to(_beside(stand_in, folder))


def _beside(program: Path, folder: Path) -> Path:
    """A copy on the mirror's own file system: a link to the program itself would let it look for its schema where it was built."""
    copy = folder / program.name
    if not copy.exists():
        shutil.copy(program, copy)
    return copy


@dataclass(frozen=True, slots=True)
class Tofu:
    program: Path
    mirror: Path

    def platform(self) -> str:
        return str(json.loads(self.run(OPENTOFU, "version", "-json").stdout)["platform"])

    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        settings = self.mirror / "tofurc"
        if not settings.exists():
            settings.write_text(
                f'provider_installation {{\n  filesystem_mirror {{\n    path = "{self.mirror}"\n  }}\n}}\n'
            )
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "TOFU_"))}
        return subprocess.run(
            [self.program, *arguments],
            cwd=folder,
            env={**environment, "TF_CLI_CONFIG_FILE": str(settings), "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def ready(self, copy: Path) -> None:
        """`tofu init` in a copy of a configuration."""
        done = self.run(copy, "init", "-backend=false", "-no-color")
        assert done.returncode == 0, done.stdout + done.stderr

    def complaints(self, copy: Path) -> list[str]:
        """What `tofu validate` has against it: "file: summary: detail" each."""
        done = self.run(copy, "validate", "-json")
        said = json.loads(done.stdout)
        assert said["valid"] is (done.returncode == 0), done.stdout
        return [
            f"{Path(one.get('range', {}).get('filename', '')).name}: {one['summary']}: {one['detail']}"
            for one in said["diagnostics"]
        ]


def variables_of(configuration: str) -> dict[str, str]:
    """Every variable with its block's text."""
    text = (OPENTOFU / configuration / "variables.tf").read_text()
    return dict(re.findall(r'^variable "(\w+)" {\n(.*?)^}', text, re.MULTILINE | re.DOTALL))


def copy_of(configuration: str, folder: Path) -> Path:
    """All of opentofu/ in `folder`, without what somebody's own `tofu init` left; returns the one configuration's place in it."""
    shutil.copytree(OPENTOFU, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars"))
    return folder / configuration
