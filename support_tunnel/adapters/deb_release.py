"""The device's side as Debian's package manager knows it: which version, and a newer one in its place.

Asks dpkg and apt-get only. What happens to sessions is the package's own business (tools/debian/).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.core.errors import UsageError, WrongState

__all__ = ["COMMAND", "LIBRARY", "PACKAGE", "upgrade_deb"]

PACKAGE = "support-tunnel-device"
LIBRARY = Path("/usr/lib/support-tunnel")
"""Where the package puts this program and its libraries."""
COMMAND = Path("/usr/bin/support-tunnel")


def upgrade_deb(content: bytes) -> tuple[str, str]:
    """Install the package with these bytes; return the version before and after.

    Raises UsageError `upgrade.other` (another package), WrongState `upgrade.older`, HostError when apt-get fails, which then
    leaves the old version or says what is half done.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "release.deb")
        file.write_bytes(content)
        fields = processes.run(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", file], accept=None)
        package, _, version = fields.stdout.strip().partition(" ")
        if fields.status != 0 or package != PACKAGE:
            raise UsageError("upgrade.other", f"this file is not the Debian package {PACKAGE}")
        before = processes.run(["dpkg-query", "--show", "--showformat=${Version}", PACKAGE]).stdout.strip()
        if processes.run(["dpkg", "--compare-versions", version, "gt", before], accept=(0, 1)).status != 0:
            raise WrongState(
                "upgrade.older",
                f"version {before} is installed, and {version} is not newer",
                next_step=f"To go back: apt-get install --allow-downgrades ./FILE (version {version}).",
            )
        processes.run(
            ["apt-get", "--yes", "-o", "DPkg::Lock::Timeout=60", "install", file],
            timeout=900,
            env={"DEBIAN_FRONTEND": "noninteractive"},
        )
    return before, version
