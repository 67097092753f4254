"""`support-tunnel`: the device's tasks as an installed command, for a device that has no checkout."""

from __future__ import annotations

from typing import NoReturn

from invoke.program import Program

from support_tunnel import __version__
from support_tunnel.cli.device_tasks import namespace

__all__ = ["main"]


def main() -> NoReturn:
    name = "support-tunnel"
    Program(namespace=namespace(), name=name, binary=name, binary_names=[name], version=__version__).run()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
