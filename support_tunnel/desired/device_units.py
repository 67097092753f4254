"""Take away what role `device_boot` left on a device; the device's program itself is its package manager's business."""

from __future__ import annotations

from support_tunnel.core.secret import Secret

__all__ = ["BOOT_UNITS", "CLEAN_UNIT", "remove_units"]

CLEAN_UNIT = "support-tunnel-clean.service"
BOOT_UNITS = (
    "support-tunnel-clean.timer",
    CLEAN_UNIT,
    "support-tunnel-connect.timer",
    "support-tunnel-connect.service",
)


def remove_units() -> Secret[str]:
    """Key `removed`, a unit a line; none when nothing was there."""
    units = " ".join(BOOT_UNITS)
    return Secret(
        rf"""set -eu
for unit in {units}; do
    file=/etc/systemd/system/$unit
    [ -e "$file" ] || continue
    systemctl disable --quiet --now "$unit"
    rm "$file"
    printf 'removed\t%s\n' "$unit"
done
systemctl daemon-reload
systemctl reset-failed {units} 2>/dev/null || :
"""
    )
