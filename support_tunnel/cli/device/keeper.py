"""Entry of the device's own units: `keep TUNNEL` watches a session, `end TUNNEL` (ExecStopPost) puts the device back, `expire
TUNNEL` ends a request that nobody answered in time.

systemd starts it; people use `inv stop`. The id is no secret: it is derived one-way from the code (2.2).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

from support_tunnel.cli.boundary import boundary
from support_tunnel.cli.device.wiring import ending_ports
from support_tunnel.core.names import TunnelId, parse_tunnel_id
from support_tunnel.flows.device.end_session import end_unless_held, note_reason
from support_tunnel.flows.device.expire import expire
from support_tunnel.flows.device.keep import TIME_OVER, Deadlines, keep, wait_until_over
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import load_record

__all__ = ["main", "watch"]


@boundary
def main(what: str, tunnel_id: str) -> None:
    ports, tunnel = ending_ports(), parse_tunnel_id(tunnel_id)
    if what == "keep":
        watch(ports, tunnel, leave=lambda: os._exit(0))
        return
    if what == "expire":
        expire(ports, tunnel)
        return
    end_unless_held(ports, tunnel)


def watch(ports: DevicePorts, tunnel: TunnelId, *, leave: Callable[[], object]) -> None:
    """Keep the session. Its clocks are also looked at apart from all that waits for the API, which could hang on purpose.

    `leave` ends this process at once; systemd goes on from there, as after every end of it.
    """

    def end_on_time(deadlines: Deadlines) -> None:
        wait_until_over(deadlines, ports.clock)
        note_reason(ports, tunnel, TIME_OVER)
        leave()

    record = load_record(ports.vault, tunnel)
    if record is not None:
        deadlines = Deadlines.of(record, ports.clock)
        threading.Thread(target=end_on_time, args=[deadlines], daemon=True).start()
    note_reason(ports, tunnel, keep(ports, tunnel))


if __name__ == "__main__":
    from invoke.exceptions import Exit

    try:
        main(*sys.argv[1:3])
    except Exit as ended:
        sys.exit(ended.code)
