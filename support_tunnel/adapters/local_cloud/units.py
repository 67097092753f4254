"""Which units a node may start: an allow list, because a node that shares `/` would boot every service of this machine.

(A database once spun for an hour that way.) What is not on the list is masked in the node's own layer.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

__all__ = ["mask_unlisted"]

_ALLOWED = frozenset({
    "dbus.service", "dbus.socket", "polkit.service", "ssh.service", "systemd-logind.service",
    "systemd-user-sessions.service", "systemd-journald.service", "systemd-journald.socket",
    "systemd-journald-dev-log.socket", "systemd-journal-flush.service", "systemd-sysusers.service",
    "systemd-tmpfiles-setup.service", "systemd-tmpfiles-setup-dev.service", "dev-mqueue.mount", "systemd-tmpfiles-clean.timer", "systemd-machine-id-commit.service",
    "systemd-update-utmp.service", "remote-fs.target", "cryptsetup.target",
    "cloud-init.target", "cloud-init-local.service", "cloud-init-main.service", "cloud-init-network.service",
    "cloud-init.service", "cloud-config.service", "cloud-config.target", "cloud-final.service",
    "cloud-init-hotplugd.socket",
})  # fmt: skip
_UNIT_FOLDERS = ("etc/systemd/system", "usr/lib/systemd/system", "usr/local/lib/systemd/system")
_GENERATOR_FOLDERS = ("usr/lib/systemd/system-generators", "usr/local/lib/systemd/system-generators")
# It decides at boot whether a seed is there.
_ALLOWED_GENERATORS = frozenset({"cloud-init-generator"})
_NO_UNIT = "/dev/null"


def mask_unlisted(upper: Path, lower: Path, *, admins_units: bool) -> None:
    """Mask what `lower` would start at boot. `admins_units` tells whether the node sees /etc/systemd/system of `lower`."""
    folders = _UNIT_FOLDERS if admins_units else _UNIT_FOLDERS[1:]
    wanted = {
        link.name
        for folder in folders
        for kind in ("wants", "requires")
        for link in (lower / folder).glob(f"*.{kind}/*")
    }
    _mask(upper / "etc/systemd/system", wanted - _ALLOWED)
    # Generators make units out of /etc/fstab, /etc/init.d, kernel arguments: this machine's, not the node's.
    generators = {
        entry.name for folder in _GENERATOR_FOLDERS if (lower / folder).is_dir() for entry in (lower / folder).iterdir()
    }
    _mask(upper / "etc/systemd/system-generators", generators - _ALLOWED_GENERATORS)


def _mask(folder: Path, names: set[str]) -> None:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in names:
        with contextlib.suppress(FileExistsError):
            (folder / name).symlink_to(_NO_UNIT)
