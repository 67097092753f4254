"""What `inv doctor` asks a device. It reads and changes nothing; `core.device_health` judges the answers."""

from __future__ import annotations

import shlex

from support_tunnel.core.secret import Secret
from support_tunnel.desired.probes import capabilities

__all__ = ["device_facts", "tailscale_facts"]


def device_facts(log: str) -> Secret[str]:
    """The keys of `probes.capabilities`, and `ssh-version`, `log-free` (KiB of the file system of `log`, or of its nearest
    folder that is there), `firewall` and `mtu` (one a line)."""
    return Secret(
        capabilities().reveal()
        + r"""say ssh-version "$(ssh -V 2>&1 | head -n 1)"
log="""
        + shlex.quote(log)
        + r"""
while [ ! -d "$log" ]; do log=$(dirname "$log"); done
say log-free "$(df -Pk "$log" | awk 'NR == 2 { print $4 }')"
ufw status 2>/dev/null | grep -q '^Status: active' && say firewall ufw
systemctl is-active --quiet firewalld 2>/dev/null && say firewall firewalld
{ ip -o -4 route show default; ip -o -6 route show default; } 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | sort -u |
    while IFS= read -r device; do say mtu "$(cat "/sys/class/net/$device/mtu")"; done
exit 0
"""
    )


def tailscale_facts(folder: str) -> Secret[str]:
    """Keys `tailscale` and `tailscaled` (what each program in `folder` says of its version; absent where it does not run), `tun`, and
    `other` where a Tailscale that is not a session's has its rules of routing."""
    return Secret(
        f"""folder={shlex.quote(folder)}
PATH=$PATH:/usr/sbin:/sbin
for program in tailscale tailscaled; do
    said=$("$folder/$program" --version 2>/dev/null </dev/null | head -n 1)
    [ -z "$said" ] || printf '%s\\t%s\\n' "$program" "$said"
done
[ -c /dev/net/tun ] && printf 'tun\\tthere\\n'
# A node of ours notes that the rules are its own (role tailscale_node).
if ip rule show 2>/dev/null | grep -q 'lookup 52$' && ! ls /run/support_tunnel/*/node/network >/dev/null 2>&1; then
    printf 'other\\tyes\\n'
fi
exit 0
"""
    )
