"""What OpenTofu made, as `tofu output -json` wrote it into inventory/ENVIRONMENT.tofu.json: the only way from there to here.

Two outputs are known (opentofu/*/outputs.tf): `settings`, by the names that admins' settings have, and `api_host`, where `fab api.deploy`
goes. Anything else is refused, and so is what OpenTofu calls sensitive: a secret has no place in that file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from support_tunnel.cli import paths
from support_tunnel.core.errors import UsageError

__all__ = ["ENVIRONMENT", "ApiHost", "TofuOutputs", "made_by_tofu", "named_inventory", "read_tofu_outputs"]

SUFFIX = ".tofu.json"
ENVIRONMENT = "SUPPORT_TUNNEL_ENVIRONMENT"
INVENTORY = "SUPPORT_TUNNEL_INVENTORY"
SETTINGS = ("api", "cloud", "clouds")
_LINE = re.compile(r"[^\x00-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class ApiHost:
    address: str
    domain: str
    login: str
    database: str = ""
    """Private address of its PostgreSQL server; empty: the API keeps its own store."""
    database_name: str = ""
    service_account: str = ""
    """The account that launches tunnel servers, where OpenTofu made one."""


@dataclass(frozen=True, slots=True)
class TofuOutputs:
    name: str
    """The file's name, for errors."""
    settings: Mapping[str, object]
    """Some of the admin's settings, by their names; values are checked where they are merged."""
    api_host: ApiHost | None


def named_inventory(environ: Mapping[str, str]) -> Path | None:
    """The inventory file that SUPPORT_TUNNEL_INVENTORY names, if it names one. Raises UsageError `config.inventory` when it is not there."""
    named = environ.get(INVENTORY, "")
    if not named:
        return None
    file = Path(named).expanduser()
    if not file.is_file():
        raise UsageError("config.inventory", f"{INVENTORY} names {file}, and there is no such file")
    return file


def made_by_tofu(environ: Mapping[str, str]) -> TofuOutputs | None:
    """What OpenTofu made for this admin: the outputs beside the named inventory file, or in the usual folder. Raises as its two parts do."""
    named = named_inventory(environ)
    return read_tofu_outputs(named.parent if named else paths.inventory(), environ.get(ENVIRONMENT, ""))


def read_tofu_outputs(folder: Path, environment: str = "") -> TofuOutputs | None:
    """Read the outputs in an inventory folder: those of `environment`, or the only ones that there are. None where there are none.

    Raises UsageError `config.environment` when it is not clear which, `config.syntax`, `config.unknown`, `config.type`, `config.sensitive`.
    """
    found = sorted(path for path in folder.glob(f"*{SUFFIX}") if path.is_file())
    if environment:
        found = [path for path in found if path.name == environment + SUFFIX]
        if not found:
            raise UsageError(
                "config.environment",
                f"{ENVIRONMENT} is {environment}, and there is no {folder / (environment + SUFFIX)}",
                next_step=f"Write it: tofu output -json >{folder / (environment + SUFFIX)}",
            )
    if len(found) > 1:
        names = ", ".join(path.name.removesuffix(SUFFIX) for path in found)
        raise UsageError(
            "config.environment",
            f"{folder} has outputs of more than one environment: {names}",
            next_step=f"Say which: {ENVIRONMENT}={found[0].name.removesuffix(SUFFIX)}",
        )
    return _outputs(found[0]) if found else None


def _outputs(file: Path) -> TofuOutputs:
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is not what `tofu output -json` writes"
        raise UsageError("config.syntax", f"{file}: {reason}") from None
    outputs = {}
    for name, output in _mapping(document, file.name).items():
        where = f"{file.name}: {name}"
        if name not in ("settings", "api_host"):
            raise UsageError("config.unknown", f"{where} is not known", next_step="Known: settings, api_host.")
        output = _mapping(output, where)
        if output.get("sensitive") is not False:
            raise UsageError(
                "config.sensitive",
                f"{where} is called sensitive, and this file is no place for a secret",
                next_step="Take it out of outputs.tf, and write the file again.",
            )
        outputs[name] = _mapping(output.get("value"), where)
    settings = outputs.get("settings", {})
    _refuse_unknown(settings, SETTINGS, f"{file.name}: settings")
    host = outputs.get("api_host")
    return TofuOutputs(file.name, settings, _api_host(host, f"{file.name}: api_host") if host is not None else None)


def _api_host(value: Mapping[str, object], where: str) -> ApiHost:
    known = [one.name for one in fields(ApiHost)]
    _refuse_unknown(value, known, where)
    given: dict[str, str] = {}
    for name in known:
        text = value.get(name, "")
        if not isinstance(text, str) or not _LINE.fullmatch(text):
            raise UsageError("config.type", f"{where}/{name} should be one line of text")
        given[name] = text
    for name in ("address", "domain", "login"):
        if not given[name]:
            raise UsageError("config.type", f"{where}/{name} is missing")
    return ApiHost(**given)


def _mapping(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise UsageError("config.type", f"{where} should be a mapping")
    return value


def _refuse_unknown(value: Mapping[str, object], known: tuple[str, ...] | list[str], where: str) -> None:
    for name in value:
        if name not in known:
            raise UsageError("config.unknown", f"{where}/{name} is not known", next_step=f"Known: {', '.join(known)}.")
