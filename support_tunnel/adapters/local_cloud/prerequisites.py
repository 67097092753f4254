"""What this machine must offer before a node can be made, said in one sentence when it does not."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from support_tunnel.adapters.local_cloud.images import KEYRING, Image
from support_tunnel.adapters.processes import environment
from support_tunnel.core.errors import HostError, UsageError

__all__ = ["check", "check_memory"]

log = logging.getLogger(__name__)

_PROGRAMS = {
    "ip": "iproute2",
    "mount": "mount",
    "setsid": "util-linux",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
}
_FOR_IMAGE = {
    # polkit and dbus are not for the driver: without them the escapes that consent scopes must stop could not be seen.
    "host": {
        "sshd": "openssh-server",
        "dbus-daemon": "dbus",
        "sudo": "sudo",
        "wg": "wireguard-tools",
        "nft": "nftables",
    },
    "debian-13": {"mmdebstrap": "mmdebstrap", "apt-get": "apt"},
}
_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
_INSTANCES_WANTED = 1024  # Debian's 128 end at the 27th node: systemd in it cannot start


def check(image: Image) -> None:
    """Raises UsageError `cloud.root-needed` or HostError `cloud.packages`."""
    if os.geteuid() != 0:
        raise UsageError("cloud.root-needed", "the local cloud needs root", next_step="Run the same command with sudo.")
    programs = _PROGRAMS | _FOR_IMAGE.get(image.id, {})
    path = environment()["PATH"]
    missing = sorted({package for program, package in programs.items() if shutil.which(program, path=path) is None})
    if image.id == "debian-13" and not Path(KEYRING).exists():
        missing.append("debian-archive-keyring")
    if image.id == "host" and not any(Path(p).exists() for p in ("/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd")):
        missing.append("polkitd")
    if missing:
        raise HostError(
            "cloud.packages",
            f"the local cloud needs Debian packages that are not installed: {', '.join(missing)}",
            next_step=f"apt-get install {' '.join(missing)}",
        )
    _raise_inotify_limit()


def check_memory(root: Path) -> None:
    """Raises HostError `cloud.memory` when a node more could fill what it writes to."""
    status = os.statvfs(root)
    if status.f_bavail * status.f_frsize < 64 << 20:
        raise HostError(
            "cloud.memory",
            f"less than 64 MB are free in {root}, where nodes keep what they write",
            next_step="End other nodes, or give /dev/shm more: mount -o remount,size=50% /dev/shm",
        )


def _raise_inotify_limit() -> None:
    current = int(_INSTANCES.read_text())
    if current < _INSTANCES_WANTED:
        _INSTANCES.write_text(str(_INSTANCES_WANTED))
        log.warning(
            "raised fs.inotify.max_user_instances from %d to %d until reboot: every node takes about five",
            current,
            _INSTANCES_WANTED,
        )
