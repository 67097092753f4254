"""`support-tunnel`: the device's tasks as an installed command, for a device that has no checkout."""

from __future__ import annotations

from typing import NoReturn

from invoke.program import Program

from support_tunnel import __version__
from support_tunnel.cli.called import DEVICE, speak_as_called
from support_tunnel.cli.device.tasks import namespace
from support_tunnel.cli.output import NOBODY_READS, turn_to_nobody

__all__ = ["main"]


def main() -> NoReturn:
    speak_as_called()
    program = Program(namespace=namespace(), name=DEVICE, binary=DEVICE, binary_names=[DEVICE], version=__version__)
    try:
        program.run()
    except BrokenPipeError:  # `support-tunnel --list | head`
        raise SystemExit(NOBODY_READS if turn_to_nobody() else 1) from None
    raise SystemExit(0)


if __name__ == "__main__":
    main()
