"""Small scripts about a Headscale server and the nodes of its network; the rest is as in `probes`, which reads their answers."""

from __future__ import annotations

import shlex
from ipaddress import IPv6Address

from support_tunnel.core.names import Names
from support_tunnel.core.secret import Secret

__all__ = ["coordinator_key", "tailnet_way"]


def tailnet_way(names: Names, programs: str, peer: IPv6Address) -> Secret[str]:
    """Key `way`: `direct` or `relay`, how this host's node reaches `peer`; absent while it does not; `gone` without a node.

    `tailscale ping` asks the other end's tailscaled, so the policy has no say; it stops at the first direct answer.
    """
    tailscale = shlex.join([f"{programs}/tailscale", f"--socket=/run/support_tunnel/{names.short}/node/socket"])
    return Secret(
        rf"""ip link show {names.interface} >/dev/null 2>&1 || printf 'gone\tyes\n'
said=$({tailscale} ping -c 3 --timeout 3s {peer} 2>/dev/null)
case $said in
*' via DERP('*) way=relay ;;
*pong*) way=direct ;;
*) exit 0 ;;
esac
# Of several answers the last counts: the first one often comes by the relay, until the two ends have found each other.
case ${{said##*pong}} in *' via DERP('*) ;; *) way=direct ;; esac
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
