"""What the system's `ssh` says when it fails, told apart by what the reader does next.

ssh ends with 255 for every reason and has no other machine-readable word; its messages (in its own log, in English) are
stable over many years. Must not repeat them to the reader raw: part of such a line comes from the other side.
"""

from __future__ import annotations

import re

from support_tunnel.core.errors import HostError

__all__ = ["failure_of"]

REASONS: tuple[tuple[re.Pattern[str], str, str, str], ...] = (
    (
        # The first hop's words for: the server let us in and could not reach the next one.
        re.compile(r"stdio forwarding failed"),
        "ssh.unreachable",
        "the tunnel server cannot reach the device",
        "Check that the session is still alive: `fab show ID`.",
    ),
    (
        # tailscale's words (cmd/tailscale/cli, nc.go and diag.go), where an own node is the first hop.
        re.compile(r"^[Ff]ailed to connect to local [Tt]ailscale", re.MULTILINE),
        "node.gone",
        "this machine's node of the tunnel's network has ended",
        "If the tunnel is not over, end it with `fab stop ID` and ask the owner for a new code.",
    ),
    (
        re.compile(r'^Dial\("', re.MULTILINE),
        "ssh.unreachable",
        "this machine's node cannot reach the device",
        "Check that the session is still alive: `fab show ID`.",
    ),
    (
        re.compile(r"Host key verification failed|no matching host key type"),
        "ssh.hostkey",
        "the {hop} shows another host key than the one of this tunnel: somebody may be answering for it",
        "Stop this tunnel and make a new one; tell whoever runs the network.",
    ),
    (
        re.compile(r"no matching key exchange method"),
        "ssh.kex",
        "the {hop} has no post-quantum key exchange that this machine's ssh speaks",
        "Use OpenSSH 9.0 or newer on both, or accept the risk by typing --allow-classical-ssh.",
    ),
    (
        re.compile(r"Permission denied \(|Too many authentication failures"),
        "ssh.login",
        "the {hop} did not let this tunnel's key in; perhaps the session is over",
        "Ask the owner whether it is; if so, they make a new request.",
    ),
    (
        re.compile(
            r"^ssh: |^kex_exchange_identification|banner exchange|^Connection (closed|reset|timed out)",
            re.MULTILINE,
        ),
        "ssh.unreachable",
        "the {hop} does not answer by ssh",
        "Check that the session is still alive: `fab show ID`.",
    ),
    (
        re.compile(r"Timeout, server .* not responding|closed by remote host|client_loop: |Broken pipe"),
        "host.lost",
        "the connection to the {hop} was lost",
        "Run the command again; if it fails again, the session may be over.",
    ),
)


def failure_of(said: str, *, hop: str) -> HostError | None:
    """Return the error for what ssh logged about `hop` (`device`, `tunnel server`), or None when it logged no failure."""
    for pattern, code, message, next_step in REASONS:
        if pattern.search(said):
            return HostError(code, message.format(hop=hop), next_step=next_step)
    return None
