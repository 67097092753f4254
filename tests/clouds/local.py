"""The local cloud for trials: its servers are real, and there is no HTTP on the way, so its own steps are what a tool is killed at."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud import leaks, overlay
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from tests.clouds.gate import Answer, Request

__all__ = ["Local", "die_at"]


class Local:
    name = "local"

    def __init__(self, driver: LocalNodeDriver) -> None:
        self._driver = driver
        driver.ex_destroy_all()

    def settings(self, url: str) -> dict[str, str]:
        return {"root": str(self._driver.key)}

    def everything(self) -> list[str]:
        return [node.id for node in self._driver.list_nodes()]

    def walls(self) -> list[str]:
        """Whatever else of it is on this machine: interfaces, namespaces, control groups, mounts."""
        found = leaks.find(Path(self._driver.key))
        return [line for line in found if not line.startswith(("folder ", "process "))]

    def foreign(self, name: str) -> str:
        driver = self._driver
        return str(driver.create_node(name, driver.list_sizes()[0], driver.list_images()[1]).id)

    def handle(self, request: Request) -> Answer:
        raise AssertionError("nobody speaks HTTP to it")

    def creates(self, request: Request) -> bool:
        return False

    lists = destroys = creates

    def rules(self) -> set[tuple[str, int, str]]:
        return set()

    def foreign_wall(self, name: str) -> str:
        raise NotImplementedError("it has none")

    def holds(self, name: str) -> bool:
        return False

    def refusal(self, kind: str) -> Answer:
        raise NotImplementedError("it refuses nothing")


def die_at(number: int) -> None:
    """Let this process get its SIGKILL at this step of the local cloud: before and after each program and each change of a file."""
    steps = 0

    def die_now() -> None:
        nonlocal steps
        steps += 1
        if steps == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def step(function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*given: Any, **options: Any) -> Any:
            die_now()
            done = function(*given, **options)
            die_now()
            return done

        return stepped

    for place, name in (
        (processes, "run"),
        (processes, "launch"),
        (overlay, "make_layers"),
        (overlay, "remove"),
        (Path, "rename"),
        (Path, "replace"),
    ):
        setattr(place, name, step(getattr(place, name)))
