"""Show the support code once: two lines that programs may parse (2.17), or JSON, or a 0600 file.

The code goes to stdout and into that file. Not to stderr, which people send into log files.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import UsageError
from support_tunnel.core.owner_screens import waiting
from support_tunnel.core.st1.code import Code

if TYPE_CHECKING:
    from support_tunnel.flows.device.record import Record

__all__ = ["Handing"]


@dataclass(slots=True)
class Handing:
    file: Path | None
    as_json: bool
    to_stdout: bool
    as_qr: bool = False
    _made: bool = False
    """Whether the file is ours: only then is it ours to remove."""

    def show(self, code: Code, record: Record) -> None:
        """Hand the code to whoever asked. Raises UsageError `code.file` when the file is there already."""
        text = code.text().reveal()
        if self.file is not None:
            try:
                descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            except OSError as error:
                raise UsageError("code.file", f"{self.file}: {error.strerror}", next_step="Name a new file.") from None
            self._made = True
            with os.fdopen(descriptor, "w") as out:
                out.write(text + "\n")
        if not self.to_stdout:
            return
        if self.as_json:
            emit(
                {
                    "event": "requested",
                    "tunnel_id": code.tunnel,
                    "preshared_key": text,
                    "until": record.until,
                    "approved": record.approved,
                }
            )
            return
        line(f"tunnel_id: {code.tunnel}")
        line(f"preshared_key: {text}")
        if code.is_spoken:
            line("\n" + code.grouped().reveal())
        if self.as_qr:
            from support_tunnel.adapters.qr import drawn

            line("\n" + drawn(code.text()))
        sys.stderr.write(
            "\nGive the code (preshared_key) to your helper, by phone or chat,\nand to nobody else.\n\n"
            + waiting(record.scope, ttl=record.ttl, until=record.until, approved=record.approved)
            + "\n"
        )

    def forget(self) -> None:
        """Remove the file: the code is worth nothing once the answer is in, or the request has ended."""
        if self.file is not None and self._made:
            self.file.unlink(missing_ok=True)
