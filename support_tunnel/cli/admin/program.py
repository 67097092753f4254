"""`support-tunnel-admin`: the admin's tasks as an installed command, for support staff who have no checkout.

Invoke's `Program`, not Fabric's: Fabric's adds options for hosts and keys that no task of ours reads (`converge` has its own -H),
looks at ~/.ssh/config, and loads Paramiko before it lists a task. Connections are the tasks' own business.
"""

from __future__ import annotations

from typing import NoReturn

from invoke.program import Program

from support_tunnel import __version__
from support_tunnel.cli.admin.tasks import namespace
from support_tunnel.cli.called import ADMIN, speak_as_called
from support_tunnel.cli.output import NOBODY_READS, turn_to_nobody

__all__ = ["main"]


def main() -> NoReturn:
    speak_as_called()
    program = Program(namespace=namespace(), name=ADMIN, binary=ADMIN, binary_names=[ADMIN], version=__version__)
    try:
        program.run()
    except BrokenPipeError:  # `support-tunnel-admin --list | head`
        raise SystemExit(NOBODY_READS if turn_to_nobody() else 1) from None
    raise SystemExit(0)


if __name__ == "__main__":
    main()
