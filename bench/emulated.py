"""A cloud that tests play, in a process of its own: `python -m bench.emulated NAME` says its address, and answers until its input ends.

A line on its input is a question: how many servers and firewalls are there, and how many requests were there so far? Pages are as long as the real cloud's, and lines are
kept open as real ones are. What is sent is held to no description here: that is the tests' business, and would be measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.adapters.clouds.row import Told
from support_tunnel.adapters.clouds.told import check
from support_tunnel.core.secret import Secret
from tests.clouds.gate import Gate, served
from tests.clouds.played import PLAYED
from tests.clouds.rest import Rest

__all__ = ["PAGES", "Emulated", "emulated"]

PAGES: Mapping[str, int] = {"digitalocean": 200, "hetzner": 50, "linode": 100, "openstack": 1000, "vultr": 500}
"""Longest page of each that we ask for or are given."""


class Count(NamedTuple):
    servers: int
    firewalls: int
    requests: int
    """All that it was ever sent."""


@dataclass(frozen=True, slots=True)
class Emulated:
    """One of them, as the bench sees it."""

    name: str
    settings: Mapping[str, str]
    asking: IO[str]
    saying: IO[str]

    def reach(self) -> LibcloudCloud:
        """As the inventory would; its secrets are where the settings say, which is here."""
        told = {name: f"file:{value}" if name in self._secrets() else value for name, value in self.settings.items()}
        return LibcloudCloud(
            self.name, told, SystemClock(), secret=lambda source, _: Secret(source.removeprefix("file:"))
        )

    def told(self) -> Told:
        """What a row is told for it."""
        row = CLOUDS[self.name]
        given = check(
            row,
            {name: f"file:{name}" if name in self._secrets() else value for name, value in self.settings.items()},
            self.name,
        )
        return {**given, **{name: Secret(self.settings[name]) for name in self._secrets()}}

    def _secrets(self) -> set[str]:
        return {
            setting.name for setting in CLOUDS[self.name].settings if setting.secret and setting.name in self.settings
        }

    def count(self) -> Count:
        print(file=self.asking, flush=True)
        return Count(*json.loads(self.saying.readline()))


@contextmanager
def emulated(name: str) -> Iterator[Emulated]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.emulated", name],
        cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    with process:  # closes its input and waits for it
        yield Emulated(name, json.loads(process.stdout.readline()), process.stdin, process.stdout)


def _play(name: str) -> None:
    provider = PLAYED[name]()
    assert isinstance(provider, Rest)
    provider.contract = None
    type(provider).page_size = PAGES[name]
    with served(Gate(provider), keep_alive=True) as made:
        print(json.dumps(provider.settings(made.url)), flush=True)
        for _ in sys.stdin:
            print(json.dumps([len(provider.everything()), len(provider.walls()), len(made.log)]), flush=True)


if __name__ == "__main__":
    _play(sys.argv[1])
