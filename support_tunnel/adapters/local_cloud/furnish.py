"""What a node finds written on its disk at its first boot.

A `debian-13` node with user-data gets the seed and nothing else of ours: its own cloud-init does the work, as in a real cloud.
The others get an SSH host key, root's authorized key and a plain sshd configuration from here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud import overlay, units
from support_tunnel.core.secret import Secret

__all__ = ["furnish_debian", "furnish_host", "install_keys", "seed_cloud_init"]

_HIDDEN = (
    "etc/support_tunnel", "etc/systemd/network", "etc/systemd/system", "etc/systemd/user", "etc/ssh/sshd_config.d",
    "etc/wireguard", "home", "root", "run", "tmp", "var/lib/cloud", "var/lib/support_tunnel", "var/lib/systemd/linger",
    "var/log/journal", "var/spool/cron", "var/tmp",
)  # fmt: skip
"""Of this machine, never of the node: its people's files, its keys, its jobs, what is enabled on it."""

_SSHD_CONFIG = """\
Include /etc/ssh/sshd_config.d/*.conf
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM yes
UseDNS no
Subsystem sftp /usr/lib/openssh/sftp-server
"""


def furnish_host(upper: Path, name: str) -> None:
    """A node that looks like this machine on the day it was installed: the same packages, nothing enabled, nobody's files."""
    lower = Path("/")
    for folder in _HIDDEN:
        overlay.hide(upper, lower, folder)
    _identity(upper, lower, name)
    # With none of /etc/systemd/system visible, sshd is what somebody would have enabled.
    wants = upper / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(mode=0o755)
    (wants / "ssh.service").symlink_to("/lib/systemd/system/ssh.service")
    (upper / "etc/systemd/system/default.target").symlink_to("/lib/systemd/system/multi-user.target")
    units.mask_unlisted(upper, lower, admins_units=False)
    for key in Path("/etc/ssh").glob("ssh_host_*"):
        _whiteout(upper / "etc/ssh" / key.name)
    _write(upper / "etc/ssh/sshd_config", _SSHD_CONFIG)


def furnish_debian(upper: Path, lower: Path, name: str) -> None:
    """A node that a cloud gave: nothing but its name, and no jobs that would reach for the internet."""
    overlay.own_folder(upper, lower, "etc/systemd/system")
    _identity(upper, lower, name)
    units.mask_unlisted(upper, lower, admins_units=True)


def install_keys(upper: Path, lower: Path, *, authorized: str, host_key: Secret[str] | None) -> str:
    """Write root's authorized key and the host key (a fresh one for None); return the host key's public line."""
    folder = overlay.own_folder(upper, lower, "root/.ssh")
    folder.chmod(0o700)
    _write(folder / "authorized_keys", authorized.strip() + "\n", mode=0o600)
    overlay.own_folder(upper, lower, "etc/ssh")
    private = upper / "etc/ssh/ssh_host_ed25519_key"
    public = private.with_suffix(".pub")
    for whiteout in (private, public):  # furnish_host hid this machine's own keys
        whiteout.unlink(missing_ok=True)
    if host_key is None:
        processes.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", private])
    else:
        _write(private, host_key.reveal().strip() + "\n", mode=0o600)
    line = " ".join(processes.run(["ssh-keygen", "-y", "-f", private]).stdout.split()[:2])
    public.unlink(missing_ok=True)
    _write(public, line + "\n")
    return line


def seed_cloud_init(upper: Path, lower: Path, *, node_id: str, name: str, authorized: str, user_data: str) -> None:
    """Leave user-data where cloud-init's NoCloud data source looks; it may hold a host key, so root alone reads it."""
    folder = overlay.own_folder(upper, lower, "var/lib/cloud/seed/nocloud")
    meta = {"instance-id": node_id, "local-hostname": name, "public-keys": [authorized] if authorized else []}
    _write(folder / "meta-data", json.dumps(meta), mode=0o600)  # JSON is YAML
    _write(folder / "user-data", user_data, mode=0o600)


def _identity(upper: Path, lower: Path, name: str) -> None:
    overlay.own_folder(upper, lower, "etc")
    _write(upper / "etc/machine-id", "")
    _write(upper / "etc/hostname", f"{name}\n")
    # Its own name must resolve without DNS: sudo would wait 20 seconds for an answer.
    _write(upper / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost\n")
    (upper / "etc/resolv.conf").unlink(missing_ok=True)
    _write(upper / "etc/resolv.conf", "")
    _write(upper / "etc/fstab", "")


def _whiteout(path: Path) -> None:
    """Make a file of the lower layer invisible, as the kernel's overlayfs documentation says: a 0/0 character device."""
    os.mknod(path, 0o020000, os.makedev(0, 0))


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, mode)  # whatever the umask
        file.write(text)
