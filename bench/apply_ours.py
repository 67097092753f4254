"""Our side of `roles`: one whole process that connects and applies the role, by the product's own two functions.

    python -m bench.apply_ours ADDRESS PORT HOST_KEY KEY_FILE

It imports nothing of the bench but the place of the role, so that it pays for what the product needs and no more. Prints
the seconds from connect to report: what a role costs a program that already runs, as `fab create-tunnel-server` does.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import fabric  # noqa: F401 - connect_server would import it while the clock runs

from bench.places import ROLES
from support_tunnel.adapters.ssh_server import connect_server
from support_tunnel.core.secret import Secret
from support_tunnel.flows.library import Library

__all__ = ["main"]


def main(words: list[str]) -> None:
    address, port, host_key, key_file = words
    private_key = Secret(Path(key_file).read_text())
    started = time.monotonic()
    with connect_server(
        address, port=int(port), user="root", private_key=private_key, host_key=host_key, timeout=60
    ) as shell:
        library = Library(roles=ROLES, templates=ROLES)
        library.converge(shell, ["wireguard_server"], {}, host="the node", timeout=120)
    print(time.monotonic() - started)


if __name__ == "__main__":
    main(sys.argv[1:])
