"""Where roles, templates and inventory are, in a checkout or installed, and where state lies on each side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from support_tunnel.core.names import DEVICE_LOG_FOLDER

if TYPE_CHECKING:
    from support_tunnel.flows.library import Library

__all__ = [
    "CHECKOUT",
    "DEVICE_CONFIG",
    "DEVICE_LOG",
    "DEVICE_ORG_CA",
    "DEVICE_POLICY",
    "DEVICE_REVOKED",
    "DEVICE_STATE",
    "DEVICE_VAULT",
    "REPOSITORY",
    "SYSTEM_UNITS",
    "TROUBLESHOOTING",
    "inventory",
    "library",
]

REPOSITORY: Final = Path(__file__).resolve().parents[2]
"""Folder that holds the package: a checkout, or a site-packages folder."""

_SHIPPED: Final = REPOSITORY / "support_tunnel" / "shipped"
CHECKOUT: Final = (_SHIPPED / "roles").is_symlink()
"""Whether this runs from a checkout, where what a wheel ships are links."""
TROUBLESHOOTING: Final = _SHIPPED / "troubleshooting.md"

DEVICE_CONFIG: Final = Path("/etc/support_tunnel/config.ini")
DEVICE_POLICY: Final = Path("/etc/support_tunnel/consent-policy.toml")
DEVICE_ORG_CA: Final = Path("/etc/support_tunnel/org-ca.pub")
DEVICE_REVOKED: Final = Path("/etc/support_tunnel/revoked")
SYSTEM_UNITS: Final = Path("/etc/systemd/system")
DEVICE_STATE: Final = Path("/var/lib/support_tunnel")
DEVICE_LOG: Final = Path(DEVICE_LOG_FOLDER)
DEVICE_VAULT: Final = Path("/run/support_tunnel/vault")


def library() -> Library:
    from support_tunnel.flows.library import Library  # jinja2 and yaml: too slow for `fab --list`

    return Library(roles=(_SHIPPED / "roles").resolve(), templates=(_SHIPPED / "templates").resolve())


def inventory() -> Path:
    """The admin's inventory where none is named: a checkout's own, or one beside the admin's keys."""
    return REPOSITORY / "inventory" if CHECKOUT else Path("~/.config/support_tunnel/inventory").expanduser()
