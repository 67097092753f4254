"""Entry of the keeper's unit: `keep TUNNEL` watches a session, `end TUNNEL` (ExecStopPost) puts the device back.

systemd starts it; people use `inv stop`. The id is no secret: it is derived one-way from the code (2.2).
"""

from __future__ import annotations

import sys

from support_tunnel.cli.boundary import boundary
from support_tunnel.cli.wiring_device import ending_ports
from support_tunnel.core.names import parse_tunnel_id
from support_tunnel.flows.device.end_session import end_unless_held, note_reason
from support_tunnel.flows.device.keep import keep

__all__ = ["main"]


@boundary
def main(what: str, tunnel_id: str) -> None:
    ports, tunnel = ending_ports(), parse_tunnel_id(tunnel_id)
    if what == "keep":
        note_reason(ports, tunnel, keep(ports, tunnel))
    else:
        end_unless_held(ports, tunnel)


if __name__ == "__main__":
    from invoke.exceptions import Exit

    try:
        main(*sys.argv[1:3])
    except Exit as ended:
        sys.exit(ended.code)
