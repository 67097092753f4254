"""`support-tunnel-api`: the tasks of `fab api.*` that run on the API's own host, where there is neither checkout nor Fabric."""

from __future__ import annotations

from typing import NoReturn

from invoke.program import Program

from support_tunnel import __version__
from support_tunnel.cli.api.tasks import host_tasks
from support_tunnel.cli.called import API, speak_as_called
from support_tunnel.cli.output import NOBODY_READS, turn_to_nobody

__all__ = ["main"]


def main() -> NoReturn:
    speak_as_called()
    program = Program(namespace=host_tasks(), name=API, binary=API, binary_names=[API], version=__version__)
    try:
        program.run()
    except BrokenPipeError:  # `support-tunnel-api --list | head`
        raise SystemExit(NOBODY_READS if turn_to_nobody() else 1) from None
    raise SystemExit(0)
