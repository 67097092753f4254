"""`support-tunnel-api`: the tasks of `fab api.*` that run on the API's own host, where there is neither checkout nor Fabric."""

from __future__ import annotations

from typing import NoReturn

from invoke.program import Program

from support_tunnel import __version__
from support_tunnel.cli.api_tasks import host_tasks

__all__ = ["main"]


def main() -> NoReturn:
    name = "support-tunnel-api"
    Program(namespace=host_tasks(), name=name, binary=name, binary_names=[name], version=__version__).run()
    raise SystemExit(0)
