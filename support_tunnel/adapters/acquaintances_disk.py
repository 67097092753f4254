"""Which admins this device has met, in one small JSON file: how often, when last, under which name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from support_tunnel.adapters.private_files import PrivateFolder
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import Met

__all__ = ["DiskAcquaintances"]


class DiskAcquaintances:
    """`ports.Acquaintances` in `folder`. Raises UsageError `file.*` for a file that is damaged or that others can change."""

    def __init__(self, folder: Path) -> None:
        self._folder = PrivateFolder(folder)

    def met(self, fingerprint: str) -> Met:
        known = self._load().get(fingerprint)
        return Met(int(known["times"]), _time(known["last"])) if known else Met(0, None)

    def remember(self, fingerprint: str, name: str, when: datetime) -> None:
        everyone = self._load()
        times = self.met(fingerprint).times + 1
        everyone[fingerprint] = {"times": times, "last": int(when.timestamp()), "name": name}
        self._folder.make()
        self._folder.write(_FILE, json.dumps(everyone, indent=1, sort_keys=True).encode() + b"\n")

    def _load(self) -> dict[str, dict[str, int | str]]:
        stored = self._folder.read(_FILE)
        try:
            everyone = json.loads(stored) if stored else {}
            if not all(type(one["times"]) is int and type(one["last"]) is int for one in everyone.values()):
                raise ValueError("not as we write it")  # noqa: TRY301 - one place says what is wrong with the file
        except (ValueError, KeyError, TypeError, AttributeError):
            file = self._folder.path / _FILE
            raise UsageError(
                "file.content",
                f"{file} is damaged, so this device no longer knows whom it has met",
                next_step=f"Move it away: mv {file} {file}.aside",
            ) from None
        return everyone


_FILE = "admins.json"


def _time(seconds: int | str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
