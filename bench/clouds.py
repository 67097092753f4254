"""What our layer adds to a cloud's driver, and how fast a thousand servers end, on clouds that tests play (bench/emulated.py).

They answer at once: what is measured is this machine's work, theirs included, and no network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from bench.emulated import PAGES, Emulated, emulated
from bench.result import Ratio, Result, Series
from bench.saying import say
from support_tunnel.adapters.at_once import at_once
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.clouds.row import CloudRow
from support_tunnel.core.ports import OpenPort, ServerSpec
from support_tunnel.flows.admin.sweep_clouds import due, end_due

__all__ = ["measure_layer", "measure_sweep"]

LAYER_PROMISED = 50
"""Milliseconds."""
SWEEP_PROMISED = 5
"""Seconds."""
EACH = 200
"""Servers of each cloud, with a firewall each."""
FORKS = 16
"""As `fab sweep` has it."""
MORE = "more by us"
PORTS = (OpenPort("tcp", 22), OpenPort("udp", 31_000))
OVER = datetime(2026, 1, 1, tzinfo=UTC)


def measure_layer(runs: int) -> Result:
    """A server made and ended by the driver alone, and by us: with its firewall, the lists that prove its end and all else."""
    series: list[Series] = []
    requests: list[str] = []
    for name in PAGES:
        say(f"layer: {name}, {runs} pairs")
        with emulated(name) as place:
            cloud, told = place.reach(), place.told()
            driver = cloud.row.connect(told)
            arguments = cloud.row.arguments(driver, _spec(0), told, None)
            bare = partial(_bare, cloud.row, driver, arguments)
            ours = partial(_ours, cloud)
            for once in (bare, ours):  # lines are opened and modules imported
                once(0)
            before = place.count().requests
            pairs = [(_timed(bare, run), _timed(ours, run)) for run in range(1, runs + 1)]
            requests.append(f"{name} {(place.count().requests - before) / runs:g}")
        series.append(Series(f"{name}: the driver alone", "ms", tuple(one.wall for one, _ in pairs)))
        series.append(Series(f"{name}: {MORE}", "ms", tuple(two.wall - one.wall for one, two in pairs)))
        series.append(Series(f"{name}: {MORE}, CPU", "ms", tuple(two.cpu - one.cpu for one, two in pairs)))
    return Result(
        "layer",
        tuple(
            Ratio(f"{one.label}, of the {LAYER_PROMISED} ms that are promised", one.median / LAYER_PROMISED, "<= 1")
            for one in series
            if one.label.endswith(MORE)
        ),
        tuple(series),
        (f"Requests of a pair, two of which (OpenStack: three) are the driver's alone: {', '.join(requests)}.",),
    )


class Took(NamedTuple):
    """Milliseconds."""

    wall: float
    cpu: float


def _timed(once: Callable[[int], None], run: int) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    once(run)
    return Took(1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu))


def _bare(row: CloudRow, driver: Any, arguments: dict[str, Any], run: int) -> None:
    row.destroy(driver, row.create(driver, f"bare-{run}", arguments))


def _ours(cloud: LibcloudCloud, run: int) -> None:
    cloud.destroy(cloud.create(_spec(run)).id)


def measure_sweep(runs: int) -> Result:
    """What `fab sweep` does on five clouds with 200 servers each that are all over."""
    took: list[float] = []
    requests: list[float] = []
    for run in range(runs):
        with ExitStack() as stack:
            places = [stack.enter_context(emulated(name)) for name in PAGES]
            clouds = {place.name: place.reach() for place in places}
            say(f"sweep {run + 1}/{runs}: making {EACH} servers on each of {len(places)} clouds")
            list(at_once(_fill, [*clouds.values()], forks=len(clouds)))
            if {place.count()[:2] for place in places} != {(EACH, EACH)}:
                raise RuntimeError("not all servers were made")
            before = sum(place.count().requests for place in places)
            took.append(_sweep(clouds, places))
            requests.append(sum(place.count().requests for place in places) - before)
    whole = Series(f"{EACH * len(PAGES)} servers and their firewalls: listed, ended, proved gone", "s", tuple(took))
    return Result(
        "sweep",
        (Ratio(f"of the {SWEEP_PROMISED} s that are promised", whole.median / SWEEP_PROMISED, "<= 1"),),
        (whole, Series("requests for it, of which 2 a server are the ends themselves", "number", tuple(requests))),
    )


def _sweep(clouds: Mapping[str, LibcloudCloud], places: list[Emulated]) -> float:
    runner = partial(at_once, forks=FORKS)
    started = time.perf_counter()
    ended = list(end_due(clouds, due(clouds, SystemClock().now(), runner), runner))
    seconds = time.perf_counter() - started
    if [one for one in ended if one.trouble] or any(place.count()[:2] != (0, 0) for place in places):
        raise RuntimeError("a server was not ended")
    return seconds


def _fill(cloud: LibcloudCloud) -> None:
    for number in range(EACH):
        cloud.create(_spec(number))


def _spec(number: int) -> ServerSpec:
    return ServerSpec(
        name=f"st-{number:08x}",
        user_data="#cloud-config\n{}\n",
        expires=OVER + timedelta(hours=1),
        tags={"st-tunnel": f"{number:032x}", "st-owner": "bench", "st-expires": str(int(OVER.timestamp()))},
        open_ports=PORTS,
    )
