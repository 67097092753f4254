"""`fab rehearse`: what ./demo runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import HostError, SupportTunnelError

if TYPE_CHECKING:
    from support_tunnel.cli.admin.rehearsal.run import Rehearsed

__all__ = ["rehearse"]


@verb(
    flags={
        "transport": "wireguard (default), headscale or auto, as the owner asks for it",
        "pq": "require (default) or prefer, as the owner asks for it",
        "json": "end with one line of JSON: seconds, device_changes, leftovers, steps",
        "junit": "also write the steps to this file, as JUnit XML",
    }
)
def rehearse(
    c: Context, transport: str = "wireguard", pq: str = "require", json: bool = False, junit: str = ""
) -> None:
    """Play the whole main job with real hosts, and prove that nothing is left.

    All on this machine; both ends have to be as they were.
    """
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.adapters.progress import Recorder, progress_for
    from support_tunnel.cli.admin.rehearsal.run import rehearse as run
    from support_tunnel.core.transports import transports

    transports(transport, pq)  # refused before a node is booted
    clock = SystemClock()
    recorder = Recorder(progress_for(sys.stderr, clock=clock), clock=clock)
    started = clock.monotonic()
    failed: SupportTunnelError | None = None
    try:
        done = run(recorder, transport=transport, pq=pq)
        if done.device_changes or done.leftovers:
            failed = _unclean(done)
    except SupportTunnelError as error:
        failed = error
        raise
    finally:
        recorder.end()
        if junit:
            from support_tunnel.cli.admin.junit import write_junit

            write_junit(junit, recorder.steps, failed)
    total = clock.monotonic() - started
    if json:
        emit(
            {
                "total_seconds": round(total, 3),
                "answer_to_connected_seconds": round(done.answer_to_connected_seconds, 3),
                "transport": done.transport,
                "way": done.way,
                "device_changes": done.device_changes,
                "leftovers": done.leftovers,
                "steps": [{"name": step.name, "seconds": round(step.seconds, 3)} for step in recorder.steps],
            }
        )
    elif failed is None:
        line(f"rehearsed in {total:.1f} s; connected {done.answer_to_connected_seconds:.2f} s after the answer")
        line("the device is as it was, nothing is left")
    if failed is not None:
        raise failed


def _unclean(done: Rehearsed) -> HostError:
    what = "; ".join([*(f"changed on the device: {path}" for path in done.device_changes), *done.leftovers])
    return HostError(
        "rehearsal.unclean", f"something was left behind: {what}", next_step="This is a bug; please report it."
    )
