"""Keeps the store in PostgreSQL within its bytes: anybody may leave a request, and a disk is shared with others.

Bytes are counted over the rows that are there, because a table's file does not shrink when rows go. Each process takes a share
in advance and counts again when it is used up, so several processes together may pass the limit by one share each.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from psycopg import Connection

from support_tunnel.api.store import StoreFull

__all__ = ["Room"]

ROW: Final = 256
"""Bytes that a row costs beside its data, about: its columns, its indexes."""
SHARES: Final = 16


class Room:
    def __init__(self, most: int) -> None:
        self._most = most
        self._share = 0
        self._lock = threading.Lock()

    def take(self, db: Connection[Any], size: int) -> None:
        """Take room for one row with so many bytes. Raises StoreFull."""
        size += ROW
        with self._lock:
            if self._share < size:
                left = self._most - _used(db)
                if left < size:
                    raise StoreFull
                self._share = min(left, max(size, self._most // SHARES))
            self._share -= size

    def recount(self) -> None:
        """Forget the share, so that the next row is counted afresh."""
        with self._lock:
            self._share = 0


def _used(db: Connection[Any]) -> int:
    row = db.execute(
        "SELECT (SELECT coalesce(sum(octet_length(data) + %(row)s), 0) FROM messages)"
        " + (SELECT count(*) * %(row)s FROM history)",
        {"row": ROW},
    ).fetchone()
    return 0 if row is None else int(row[0])
