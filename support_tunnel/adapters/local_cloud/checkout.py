"""What a device node must see of this machine to run our own code: the checkout and the Python it is installed for."""

from __future__ import annotations

import sys
from pathlib import Path

import support_tunnel

__all__ = ["checkout_binds"]

_SEEN_ANYWAY = (Path("/usr"),)  # part of every `host` node; bound, it would be read-only there


def checkout_binds() -> list[Path]:
    """Folders for `ex_bind_ro`: repository, virtual environment, its base Python; none within another, none in /usr."""
    repository = Path(support_tunnel.__file__).resolve().parent.parent
    # Unresolved too: the environment's `python` is a link that names the path as it was given.
    wanted = {repository, *(Path(prefix) for prefix in (sys.prefix, sys.base_prefix))}
    wanted |= {path.resolve() for path in wanted}
    outer = [path for path in wanted if not any(other != path and path.is_relative_to(other) for other in wanted)]
    return sorted(path for path in outer if not any(path.is_relative_to(seen) for seen in _SEEN_ANYWAY))
