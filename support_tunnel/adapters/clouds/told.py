"""A cloud's settings in the inventory, checked before anything is contacted: an unknown key is an error with its path.

Pure: where a secret is gets checked here, what it is gets read when a driver is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from support_tunnel.adapters.clouds.row import CloudRow, Setting
from support_tunnel.core.errors import UsageError

__all__ = ["OF_EVERY_CLOUD", "check"]

OF_EVERY_CLOUD = (
    Setting("hourly", "what a tunnel server costs there, in US dollars an hour, where the cloud does not say"),
)
_SOURCE = re.compile(r"(file|env|cmd):.")


def check(row: CloudRow, values: Mapping[str, object], where: str) -> Mapping[str, Any]:
    """Return the settings with their defaults. Raises UsageError `config.*`; `where` is the path of the mapping."""
    settings = (*row.settings, *OF_EVERY_CLOUD)
    known = {setting.name: setting for setting in settings}
    for name, value in values.items():
        if name not in known:
            words = ", ".join(known) or "nothing"
            raise UsageError("config.unknown", f"{where}/{name} is not known", next_step=f"Known: {words}.")
        if (
            isinstance(value, bool)
            or not isinstance(value, str | int | float)
            or re.search(r"[\x00-\x1f\x7f]", str(value))
        ):
            raise UsageError("config.type", f"{where}/{name} should be one line of text")
        if known[name].secret and not _SOURCE.match(str(value)):
            raise UsageError(
                "config.secret",
                f"{where}/{name} is a secret, so it may not stand there",
                next_step="Say where it is: file:PATH, env:NAME or cmd:PROGRAM.",
            )
        if known[name].choices and str(value) not in known[name].choices:
            choices = " or ".join(known[name].choices)
            raise UsageError(
                "config.value",
                f"{where}/{name} is {str(value)!r}; here it may be {choices}",
                next_step=f"It is: {known[name].meaning}.",
            )
    for setting in settings:
        if setting.needed and not values.get(setting.name):
            raise UsageError(
                "config.missing", f"{where}/{setting.name} is missing", next_step=f"It is: {setting.meaning}."
            )
    given = {name: str(value) for name, value in values.items()}
    return {setting.name: given.get(setting.name, setting.default) for setting in settings}
