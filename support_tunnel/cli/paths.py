"""Where roles, templates and inventory are, in a checkout or installed, and where state lies on each side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from support_tunnel.core.names import DEVICE_LOG_FOLDER

if TYPE_CHECKING:
    from support_tunnel.flows.library import Library

__all__ = [
    "DEVICE_CONFIG",
    "DEVICE_LOG",
    "DEVICE_ORG_CA",
    "DEVICE_POLICY",
    "DEVICE_REVOKED",
    "DEVICE_STATE",
    "DEVICE_VAULT",
    "REPOSITORY",
    "library",
]

REPOSITORY: Final = Path(__file__).resolve().parents[2]

DEVICE_CONFIG: Final = Path("/etc/support_tunnel/config.ini")
DEVICE_POLICY: Final = Path("/etc/support_tunnel/consent-policy.toml")
DEVICE_ORG_CA: Final = Path("/etc/support_tunnel/org-ca.pub")
DEVICE_REVOKED: Final = Path("/etc/support_tunnel/revoked")
DEVICE_STATE: Final = Path("/var/lib/support_tunnel")
DEVICE_LOG: Final = Path(DEVICE_LOG_FOLDER)
DEVICE_VAULT: Final = Path("/run/support_tunnel/vault")


def library() -> Library:
    from support_tunnel.flows.library import Library  # jinja2 and yaml: too slow for `fab --list`

    # Links into the checkout; in a wheel they are the folders themselves.
    shipped = Path(__file__).resolve().parents[1] / "shipped"
    return Library(roles=(shipped / "roles").resolve(), templates=(shipped / "templates").resolve())
