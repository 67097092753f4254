"""`fab doctor`: can this machine answer a request, and would a cloud launch its server; if not, what is to be done.

Changes nothing and launches nothing.
"""

from __future__ import annotations

from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.called import as_called
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import SupportTunnelError

__all__ = ["doctor"]

_WIDTH = 7
"""Of the longest state."""


@verb(
    optional_cloud=True,
    flags={
        "cloud": "examine this cloud of the inventory: credentials, region, image, size, quota, clock, each permission",
        "json": "one line of JSON, for programs",
    },
)
def doctor(c: Context, cloud: str = "", json: bool = False) -> None:
    """Check whether this machine can answer a request, or CLOUD launch its server.

    A line a check, and what to do where it cannot. Changes nothing and launches nothing.
    """
    from support_tunnel.adapters.terminal import printable
    from support_tunnel.cli.admin.cloud_examination import examine_one
    from support_tunnel.cli.admin.examination import examine

    checks = []
    for one in examine_one(cloud) if cloud else examine():
        checks.append(one)
        if json:
            continue
        line(printable(f"{one.state:{_WIDTH}}  {one.name}: {one.said}"))
        if one.fix:
            line(printable(f"{'':{_WIDTH}}  -> {as_called(one.fix)}"))
    if json:
        emit([{"check": one.name, "state": one.state, "said": one.said, "fix": as_called(one.fix)} for one in checks])
    if failed := [one.name for one in checks if one.state == "fail"]:
        lacks = (
            f"the cloud {cloud} would launch no tunnel server" if cloud else "this machine cannot answer a request yet"
        )
        raise SupportTunnelError(
            "doctor.failed",
            f"{lacks}: {', '.join(failed)}",
            next_step="Do what stands behind each fail, then run this again.",
        )
