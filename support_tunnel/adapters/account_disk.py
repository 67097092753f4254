"""What this admin's servers cost: one JSON file a rental, kept for the month that it ended in and the one after."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from support_tunnel.adapters.private_files import PrivateFolder
from support_tunnel.core.names import TunnelId
from support_tunnel.core.spending import Rental

__all__ = ["DiskAccount"]

_SUFFIX = ".json"
_KEPT = timedelta(days=62)


class DiskAccount:
    """`ports.Account` in a folder of this user. Raises UsageError `file.*`, naming the file."""

    def __init__(self, folder: Path) -> None:
        self._folder = PrivateFolder(folder)

    def write(self, rental: Rental) -> None:
        self._folder.make()
        self._folder.write(_name(rental), json.dumps(_to_dict(rental)).encode() + b"\n")
        for old in self.rentals():
            if (old.ended or old.until) < rental.began - _KEPT:
                self._folder.remove(_name(old))

    def rentals(self) -> Sequence[Rental]:
        """The oldest first. A file that cannot be read is left out: it is an estimate, and servers are found by their tags."""
        found: list[Rental] = []
        for name in self._folder.names():
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                found.append(_rental(json.loads(self._folder.read(name) or b"null")))
        return sorted(found, key=lambda rental: (rental.began, rental.tunnel))


def _name(rental: Rental) -> str:
    """One tunnel may have had a server before, that was given up."""
    return f"{rental.tunnel}-{int(rental.began.timestamp())}{_SUFFIX}"


def _to_dict(rental: Rental) -> dict[str, object]:
    times = {name: getattr(rental, name) for name in ("began", "until", "ended")}
    return dataclasses.asdict(rental) | {name: time.isoformat() if time else None for name, time in times.items()}


def _rental(said: dict[str, object]) -> Rental:
    hourly, ended = said["hourly"], said["ended"]
    if not (hourly is None or isinstance(hourly, float | int)):
        raise ValueError("a price is no number")
    return Rental(
        TunnelId(str(said["tunnel"])),
        str(said["cloud"]),
        _time(said["began"]),
        _time(said["until"]),
        hourly,
        None if ended is None else _time(ended),
    )


def _time(said: object) -> datetime:
    time = datetime.fromisoformat(str(said))
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time
