"""Small scripts about a Headscale server and the nodes of its network; the rest is as in `probes`, which reads their answers."""

from __future__ import annotations

import shlex
from ipaddress import IPv6Address
from typing import Final

from support_tunnel.core.names import Names
from support_tunnel.core.secret import Secret

__all__ = ["coordinator_key", "join_refused", "tailnet_address", "tailnet_company", "tailnet_way"]

_ASKED: Final = 2
"""Nodes that are asked in one look, each twice for three seconds where it does not answer."""


def tailnet_way(names: Names, programs: str, peer: IPv6Address) -> Secret[str]:
    """Key `way`: `direct` or `relay`, how this host's node reaches `peer`; absent while it does not; `gone` without a node.

    `tailscale ping` asks the other end's tailscaled, so the policy has no say. The first answer often comes by the relay, until the two ends
    have found each other: so up to six are asked for, in two seconds, and the first direct one decides.
    """
    return Secret(
        rf"""{_gone(names)}
{_reaches(names, programs)}
reaches {peer}
exit 0
"""
    )


def tailnet_company(names: Names, programs: str) -> Secret[str]:
    """Keys as of `tailnet_way`, for a network where nobody is known beforehand: how this host's node reaches the first of the nodes
    that it is told of and that answers; `way` is `alone` where none does and the server has the node among those that are there.

    Of the list only addresses are read: names are the server's, and may be anything.
    """
    tailscale = _tailscale(names, programs)
    return Secret(
        rf"""{_gone(names)}
{_reaches(names, programs)}
way=$({tailscale} status --self=false 2>/dev/null | grep -v ' offline ' | grep -oE '^(100[.]|fd7a:115c:a1e0:)[0-9a-f.:]+' |
    head -n {_ASKED} | while read -r peer; do reaches "$peer" || reaches "$peer"; done)
if [ -n "$way" ]; then
    printf '%s\n' "$way"
    exit 0
fi
# Cut off from the server, a node still answers for itself, and says so.
own=$({tailscale} status --peers=false 2>/dev/null) || exit 0
case $own in '' | *' offline '*) ;; *) printf 'way\talone\n' ;; esac
exit 0
"""
    )


def tailnet_address(names: Names, programs: str) -> Secret[str]:
    """Key `address`: the IPv6 address of this host's node, as the server gave it out; absent while it has none."""
    return Secret(
        rf"""address=$({_tailscale(names, programs)} ip -6 2>/dev/null) || exit 0
printf 'address\t%s\n' "$address"
"""
    )


def coordinator_key(seconds: int) -> Secret[str]:
    """Key `key`: a new API key to the Headscale server on this host, for so many seconds. The answer is a secret."""
    return Secret(
        rf"""key=$(/usr/local/bin/headscale apikeys create --expiration {seconds}s -o json) || exit 1
printf 'key\t%s\n' "$(printf %s "$key" | tr -d '"')"
"""
    )


def join_refused(names: Names) -> Secret[str]:
    """Key `refused`: the last words of a join that failed, the server's own where it gave any; absent where it did not get so far."""
    return Secret(
        rf"""tail -n 1 /run/support_tunnel/{names.short}/node/refused 2>/dev/null |
    while IFS= read -r said; do printf 'refused\t%s\n' "$said"; done
exit 0
"""
    )


def _tailscale(names: Names, programs: str) -> str:
    return shlex.join([f"{programs}/tailscale", f"--socket=/run/support_tunnel/{names.short}/node/socket"])


def _gone(names: Names) -> str:
    return rf"ip link show {names.interface} >/dev/null 2>&1 || printf 'gone\tyes\n'"


def _reaches(names: Names, programs: str) -> str:
    """A function of a peer's address: where it answers, say how and end the script, or the subshell."""
    return rf"""reaches() {{
    way=
    # One by one: of several, Tailscale waits a whole second between two.
    for pause in 0 0.05 0.1 0.25 0.5 1; do
        sleep "$pause"
        case $({_tailscale(names, programs)} ping -c 1 --timeout 3s "$1" 2>/dev/null) in
        *' via DERP('*) way=relay ;;
        *pong*) way=direct; break ;;
        *) [ -n "$way" ] || return 1 ;;
        esac
    done
    printf 'way\t%s\n' "$way"
    exit 0
}}"""
