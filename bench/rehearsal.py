"""The main job from nothing to clean, as `fab rehearse` itself reports it."""

from __future__ import annotations

import json

from bench import children
from bench.places import REPOSITORY, program
from bench.result import Result, Series
from bench.saying import say

__all__ = ["measure"]

REPORTED = ("total_seconds", "answer_to_connected_seconds")


def measure(runs: int) -> Result:
    samples: dict[str, list[float]] = {name: [] for name in REPORTED}
    for run in range(runs):
        say(f"rehearsal {run + 1}/{runs}")
        env = {"PYTHONDONTWRITEBYTECODE": "1"}
        ended = children.run([program("fab"), "rehearse", "--json"], folder=REPOSITORY, env=env)
        said = json.loads(ended.stdout.splitlines()[-1])
        for name in REPORTED:
            samples[name].append(float(said[name]))
    return Result(
        "rehearsal",
        (),
        tuple(Series(name.removesuffix("_seconds"), "s", tuple(found)) for name, found in samples.items()),
        (
            "Promised: total under 10 s, answer to connected under 1 s. The device needs no person here: its policy consents.",
        ),
    )
