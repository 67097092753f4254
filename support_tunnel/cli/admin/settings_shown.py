"""The admin's settings as they may be shown: every value with its origin, and nothing that could be a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.cli.secret_source import is_source

__all__ = ["HIDDEN", "ShownSetting", "ends_of_life", "shown"]

HIDDEN = "(hidden)"
SECRET = re.compile(r"(?i)token|secret|passw|credential|(^|_)key(_|$)|api_?key|private")
PUBLIC = frozenset({"api", "api_fingerprint", "signer", "webhook"})


@dataclass(frozen=True, slots=True)
class ShownSetting:
    name: str
    value: object
    origin: str
    """`default`, `file`, `opentofu`, `environment` or `flag`."""

    def text(self) -> str:
        """As it would stand in the inventory, in one line; a dash where nothing is set."""
        if self.value is None or self.value == "":
            return "-"
        return self.value if isinstance(self.value, str) else json.dumps(self.value, default=str)


def shown(settings: AdminSettings, origins: Mapping[str, str]) -> list[ShownSetting]:
    """One row a setting, in the order of the class."""
    return [
        ShownSetting(one.name, _masked(one.name, getattr(settings, one.name)), origins.get(one.name, "default"))
        for one in fields(AdminSettings)
    ]


def ends_of_life(clouds: object) -> Iterator[str]:
    """A line a cloud: what ends a server there that nobody comes back for, and whether one that is off costs money."""
    from support_tunnel.adapters.cloud_table import CLOUDS

    for name in clouds if isinstance(clouds, Mapping) else ():
        if name in CLOUDS:
            row = CLOUDS[name]
            cost = (
                "one that is off is billed until `fab sweep` removes it" if row.billed_when_off else "off costs nothing"
            )
            yield f"cloud {name}: a server powers itself off at its end; {row.ends_itself or 'nothing else ends it'}; {cost}"


def _masked(name: str, value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(name, inner) for inner in value]
    if not isinstance(value, str):
        return value
    if value.startswith("cmd:"):
        # The program is worth knowing; its arguments may hold what opens a vault.
        return " ".join([value.split(maxsplit=1)[0], HIDDEN][: len(value.split())])
    if name not in PUBLIC and SECRET.search(name) and value and not is_source(value):
        return HIDDEN
    return _without_secret_parts(value)


def _without_secret_parts(value: str) -> str:
    """A URL keeps scheme, host and port: a webhook's path, its query and a user's password are as good as keys."""
    try:
        parts = urlsplit(value)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    if not (parts.scheme and parts.netloc):
        return value
    bare = f"{parts.scheme}://{parts.hostname}{port}"
    return bare if value.rstrip("/") == bare else f"{bare}/{HIDDEN}"
