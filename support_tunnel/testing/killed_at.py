"""Run `fab` or `inv` in this process and strike it at the n-th port call:

    python -m support_tunnel.testing.killed_at N before|after [--deed DEED] [--calls FILE] -- fab create-tunnel-server ...

N counts from 1, as `testing.faults` counts; 0 strikes nobody and only counts. `--calls FILE` appends one line `port.method`
for each counted call, written through before the call has an effect, so that the file of a killed run ends with the call
it was killed at. The deeds:

- `kill` (when none is named): the process ends by SIGKILL (status -9 for its parent), and nothing of it runs any more.
- `fail`: the call raises HostError `fault.struck`, as a lost connection would.
- `hang`: the call does not return until a signal from outside ends the process, or for an hour.
- `interrupt`, `terminate`, `hangup`: the process gets SIGINT, SIGTERM or SIGHUP, as by Ctrl-C, a service manager, a closed window.

When the program ends by itself its own exit status is kept: a crash test that asked for a kill and sees another status has
asked for a call that is not there.

It installs itself by `support_tunnel.cli.wiring.set_wrapper`, before the program is loaded, and so sees each port that
`wiring.wrapped` is given in this process. Processes that this one starts (the device's keeper) are not affected.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.cli.wiring import set_wrapper
from support_tunnel.core.errors import HostError
from support_tunnel.testing.faults import Fault, FaultWiring, hanging, killing, raising, signalling

__all__ = ["DEEDS", "main"]

PROGRAMS = {"fab": "fabric.main", "inv": "invoke.main"}
DEEDS: dict[str, Callable[[], None]] = {
    "kill": killing(),
    "fail": raising(HostError("fault.struck", "a test broke this call")),
    "hang": hanging(SystemClock(), 3600),
    "interrupt": signalling(signal.SIGINT),
    "terminate": signalling(signal.SIGTERM),
    "hangup": signalling(signal.SIGHUP),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program; returns or raises SystemExit as the program does, unless the process is killed first."""
    parser = argparse.ArgumentParser(prog="python -m support_tunnel.testing.killed_at")
    parser.add_argument("number", type=int)
    parser.add_argument("side", choices=["before", "after"])
    parser.add_argument("--deed", choices=sorted(DEEDS), default="kill")
    parser.add_argument("--calls", type=Path)
    parser.add_argument("program", choices=sorted(PROGRAMS))
    parser.add_argument("words", nargs=argparse.REMAINDER)
    given = parser.parse_args(argv)
    wiring = FaultWiring(Fault(given.number, given.side, DEEDS[given.deed]), record=given.calls)
    set_wrapper(wiring.wrap)
    import_module(PROGRAMS[given.program]).program.run([given.program, *given.words])


if __name__ == "__main__":
    main()
