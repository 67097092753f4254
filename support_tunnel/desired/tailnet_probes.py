"""Small scripts about a Headscale server and the nodes of its network; the rest is as in `probes`, which reads their answers."""

from __future__ import annotations

import shlex
from ipaddress import IPv6Address

from support_tunnel.core.names import Names
from support_tunnel.core.secret import Secret

__all__ = ["coordinator_key", "tailnet_way"]


def tailnet_way(names: Names, programs: str, peer: IPv6Address) -> Secret[str]:
    """Key `way`: `direct` or `relay`, how this host's node reaches `peer`; absent while it does not; `gone` without a node.

    `tailscale ping` asks the other end's tailscaled, so the policy has no say. The first answer often comes by the relay, until the two ends
    have found each other: so up to six are asked for, in two seconds, and the first direct one decides.
    """
    tailscale = shlex.join([f"{programs}/tailscale", f"--socket=/run/support_tunnel/{names.short}/node/socket"])
    return Secret(
        rf"""ip link show {names.interface} >/dev/null 2>&1 || printf 'gone\tyes\n'
way=
# One by one: of several, Tailscale waits a whole second between two.
for pause in 0 0.05 0.1 0.25 0.5 1; do
    sleep "$pause"
    case $({tailscale} ping -c 1 --timeout 3s {peer} 2>/dev/null) in
    *' via DERP('*) way=relay ;;
    *pong*) way=direct; break ;;
    *) [ -n "$way" ] || exit 0 ;;
    esac
done
printf 'way\t%s\n' "$way"
"""
    )


def coordinator_key(seconds: int) -> Secret[str]:
    """Key `key`: a new API key to the Headscale server on this host, for so many seconds. The answer is a secret."""
    return Secret(
        rf"""key=$(/usr/local/bin/headscale apikeys create --expiration {seconds}s -o json) || exit 1
printf 'key\t%s\n' "$(printf %s "$key" | tr -d '"')"
"""
    )
