"""Prints the folder of the image that tunnel servers boot from; builds it when this machine has none (needs root)."""

from __future__ import annotations

import sys

from support_tunnel.adapters.local_cloud.images import debian_13
from support_tunnel.core.errors import SupportTunnelError

__all__ = ["main"]


def main() -> int:
    try:
        folder = debian_13()
    except SupportTunnelError as error:
        sys.stderr.write(f"set-up: {error.message}. {error.next_step}\n")
        return error.exit_code
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
