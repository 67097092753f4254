"""Helpers besides the admin who answers: who they are to the owner, and with which key of their own they log in.

Nothing else about them is trusted or granted: same account, same scope, same end. They come along a Headscale path alone, since the
WireGuard one ends at the admin's server; and they are few, so that an owner can read them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from support_tunnel.core import login_key
from support_tunnel.core.errors import UsageError
from support_tunnel.core.st1 import fields
from support_tunnel.core.st1.paths import HeadscalePath, Path
from support_tunnel.core.tailnet.labels import label

__all__ = ["MOST_HELPERS", "Helper", "check_helpers", "listed", "read_helpers"]

MOST_HELPERS: Final = 8


@dataclass(frozen=True, slots=True)
class Helper:
    name: str
    key: str
    """`TYPE BASE64`, a public key of theirs."""

    @property
    def fingerprint(self) -> str:
        return login_key.fingerprint(self.key)

    def shown(self) -> dict[str, str]:
        """For people and programs of the device's owner: whose key it is, and which."""
        return {"name": self.name, "fingerprint": self.fingerprint}

    def to_json(self) -> dict[str, object]:
        return {"key": self.key, "name": self.name}

    @classmethod
    def from_json(cls, value: object) -> Helper:
        found = fields.record(value, "helpers", frozenset({"key", "name"}))
        key = found["key"] if isinstance(found["key"], str) else ""
        try:
            login_key.parse(key)
        except UsageError:
            raise fields.wrong("helpers.key", "an SSH public key of a helper") from None
        return cls(
            fields.pattern(found["name"], "helpers.name", fields.NAME, "a printable name of 1 to 64 characters"), key
        )


def read_helpers(value: object) -> tuple[Helper, ...]:
    """Raises MessageError `msg.fields`, `msg.value`."""
    return tuple(Helper.from_json(one) for one in fields.items(value, "helpers", low=0, high=MOST_HELPERS))


def listed(helpers: Iterable[Helper]) -> str:
    """In one line, for a log: a name has no comma."""
    return ", ".join(f"{helper.name} {helper.fingerprint}" for helper in helpers)


def check_helpers(helpers: Sequence[Helper], *, admin: str, keys: Iterable[str], paths: Sequence[Path]) -> None:
    """Refuse what an owner could not tell apart, and helpers who could not come. `keys` are the admin's own. Raises MessageError."""
    if len({label(name) for name in (admin, *(helper.name for helper in helpers))}) != len(helpers) + 1:
        raise fields.wrong(
            "helpers", "a list of people whose names differ in more than large and small letters, also from the admin's"
        )
    if len({helper.key for helper in helpers} | {*keys}) != len(helpers) + len({*keys}):
        raise fields.wrong("helpers", "a list of people with a key each, all others than the admin's")
    if helpers and not all(isinstance(path, HeadscalePath) for path in paths):
        raise fields.wrong("helpers", "empty, as it has to be where a path is not of the transport headscale")
