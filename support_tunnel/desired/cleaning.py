"""Take everything off a server that would be shared by all that are made from an image of it: keys, accounts, names, logs, seeds."""

from __future__ import annotations

import shlex

from support_tunnel.core.secret import Secret

__all__ = ["clean"]

_LATEST = 3_600
"""Seconds after which it turns itself off all the same: its own deadline is taken off it too."""


def clean(login_user: str, *, turn_off: bool) -> Secret[str]:
    """Leave packages and nothing of one server. Ends with 1 when a private key is left; turned off three seconds after its end."""
    return Secret(f"user={shlex.quote(login_user)}\nafter={3 if turn_off else _LATEST}\n{_CLEAN}")


_CLEAN = r"""set -eu
cd /
# Transient, so nothing of it is in the image. Before the deadline goes.
systemd-run --quiet --on-active="$after" --timer-property=AccuracySec=100ms systemctl poweroff
rm -f etc/systemd/system/timers.target.wants/support-tunnel-deadline.timer etc/systemd/system/support-tunnel-deadline.*
rm -f etc/ssh/ssh_host_* etc/ssh/sshd_config.d/50-first-boot.conf
apt-get clean
rm -rf var/lib/apt/lists/*
if command -v cloud-init >/dev/null; then
  cloud-init clean --logs --seed --configs all || cloud-init clean --logs --seed
fi
rm -rf var/lib/cloud/* etc/sudoers.d/90-cloud-init-users
: >etc/machine-id
rm -f var/lib/systemd/random-seed var/lib/systemd/credential.secret var/lib/dhcp/* root/.*_history root/.ssh/* home/*/.ssh/authorized_keys
# We are logged in as this user; that ends with the power.
userdel --force --remove "$user" 2>/dev/null || [ -z "$(getent passwd "$user")" ]
# What it keeps open is closed first; without a journal there is nothing to close, and the files go in any case.
journalctl --quiet --rotate --vacuum-size=1 2>/dev/null || true
rm -rf var/log/journal/* tmp/* var/tmp/*
find var/log -type f -exec truncate -s 0 {} +
if grep -rlsE 'BEGIN [A-Z ]*PRIVATE KEY' etc root home var/lib >&2; then
  echo 'these files still hold a private key' >&2
  exit 1
fi
sync
"""
