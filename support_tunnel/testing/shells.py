"""Hosts for tests: one that answers from a list, one that is a real `sh` in a scratch folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret

__all__ = ["Answer", "ScratchShell", "ScriptedShell"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host says to a script that contains `contains`; an error is raised."""

    contains: str
    says: Completed | SupportTunnelError


class ScriptedShell:
    """`ports.Shell`: the first answer that fits; a script that none fits is a fault of the test. `scripts` keeps all."""

    def __init__(self, answers: Sequence[Answer] = (Answer("", Completed(0, "", "")),)) -> None:
        self._answers = tuple(answers)
        self.scripts: list[Secret[str]] = []

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        self.scripts.append(script)
        for answer in self._answers:
            if answer.contains in script.reveal():
                if isinstance(answer.says, SupportTunnelError):
                    raise answer.says
                return answer.says
        raise AssertionError("no answer fits this script")


class ScratchShell:
    """`ports.Shell`: a real `sh -s` that starts in `folder`, with the rights of the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        argv: list[str | Path] = ["sh", "-c", 'cd "$1" && exec sh -s', "sh", self._folder]
        return processes.run(argv, stdin=script.reveal().encode(), timeout=timeout, accept=None)
