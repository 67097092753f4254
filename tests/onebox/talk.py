"""A program that is talked to by lines, as an appliance's own page talks to ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from support_tunnel.adapters.processes import environment


class Talk:
    def __init__(self, program: subprocess.Popen[str]) -> None:
        self._program = program

    def hears(self) -> dict[str, Any]:
        """The next line, which is JSON."""
        assert self._program.stdout is not None
        said = self._program.stdout.readline()
        assert said, self._program.communicate(timeout=30)[1]
        found: dict[str, Any] = json.loads(said)
        return found

    def says(self, line: str) -> None:
        assert self._program.stdin is not None
        self._program.stdin.write(line + "\n")
        self._program.stdin.flush()

    def end(self) -> int:
        return self._program.wait(timeout=60)


@contextmanager
def talk(argv: Sequence[str]) -> Iterator[Talk]:
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as program:
        try:
            yield Talk(program)
        finally:
            program.kill()
