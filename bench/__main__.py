"""Runs the measures that are named, or all: `python -m bench [--runs N] [NAME...]`. Needs root, as the local cloud does.

Prints Markdown tables on stdout and writes one JSON file a run to .cache/bench/. Judges nothing: a target is shown beside
its value, and people read it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import FrameType

from bench import cli_lists, clouds, headscale, local_cloud, mailbox, rehearsal, roles, stores, tailnet, tunnel
from bench.places import CACHE
from bench.result import Result, report, table
from bench.saying import say
from support_tunnel.adapters.clock import SystemClock

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Measure:
    run: Callable[[int], Result]
    runs: int
    what: str


MEASURES = {
    "roles": Measure(roles.measure, 1, "one role by us, Ansible, Mitogen and pyinfra (10 minutes a run)"),
    "cli": Measure(cli_lists.measure, 20, "inv --list and fab --list beside the bare tools"),
    "tunnel": Measure(tunnel.measure, 15, "TCP through our tunnel beside bare wireguard-go"),
    "rehearsal": Measure(rehearsal.measure, 5, "the main job, from nothing to clean"),
    "mailbox": Measure(mailbox.measure, 200, "from a post to the waiting reader's return"),
    "stores": Measure(stores.measure, 10, "requests a second of the API over SQLite and over PostgreSQL"),
    "cloud": Measure(local_cloud.measure, 5, "hosts of the local cloud, made and ended"),
    "layer": Measure(clouds.measure_layer, 30, "a server by our layer beside the cloud's driver alone"),
    "sweep": Measure(clouds.measure_sweep, 3, "a thousand servers that are over, on five played clouds"),
    "headscale": Measure(headscale.measure, 3, "a tunnel's own Headscale: joining, cutting, its relay"),
    "tailnet": Measure(tailnet.measure, 3, "policies of many tunnels, on a real Headscale"),
}


def main(words: list[str]) -> int:
    chosen = _arguments(words)
    if os.geteuid() != 0:
        say("the local cloud needs root")
        return 2
    # Both become KeyboardInterrupt, so everything that was made is unmade on the way out.
    signal.signal(signal.SIGTERM, _interrupt)
    started = SystemClock().now()
    results = []
    try:
        for name in chosen.names or MEASURES:
            measure = MEASURES[name]
            result = measure.run(chosen.runs or measure.runs)
            print(table(result), flush=True)
            results.append(result)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    finally:
        if results:
            _write(started, results)
    return 0


def _arguments(words: list[str]) -> argparse.Namespace:
    known = "".join(f"\n  {name:<10} {measure.what}; {measure.runs} runs" for name, measure in MEASURES.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure ratios against peers and bare tools.",
        epilog=f"measures:{known}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; everything when none is named")
    parser.add_argument("--runs", type=_positive, help="how often, instead of each measure's own number")
    chosen = parser.parse_args(words)
    for name in chosen.names:
        if name not in MEASURES:
            parser.error(f"there is no measure {name!r}; there are: {' '.join(MEASURES)}")
    return chosen


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _write(started: datetime, results: list[Result]) -> None:
    folder = CACHE / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{started:%Y%m%dT%H%M%SZ}.json"
    machine = {
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    measures = {result.measure: report(result) for result in results}
    file.write_text(json.dumps({"started": started.isoformat(), "machine": machine, "measures": measures}, indent=2))
    say(f"written to {file.relative_to(CACHE.parent)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
