"""`support-tunnel-api`: the tasks of `fab api.*` that run on the API's own host, where there is neither checkout nor Fabric."""

from __future__ import annotations

from typing import NoReturn

from invoke.program import Program

from support_tunnel import __version__
from support_tunnel.cli.api.tasks import host_tasks
from support_tunnel.cli.called import API, speak_as_called

__all__ = ["main"]


def main() -> NoReturn:
    speak_as_called()
    Program(namespace=host_tasks(), name=API, binary=API, binary_names=[API], version=__version__).run()
    raise SystemExit(0)
