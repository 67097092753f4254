"""`fab doctor`: can this machine answer a request, and if not, what is to be done. Changes nothing and launches nothing."""

from __future__ import annotations

from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.called import as_called
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import SupportTunnelError

__all__ = ["doctor"]


@verb(flags={"json": "one line of JSON, for programs"})
def doctor(c: Context, json: bool = False) -> None:
    """Check whether this machine can answer a request.

    A line a check, and what to do where it cannot. Changes nothing and launches nothing.
    """
    from support_tunnel.adapters.terminal import printable
    from support_tunnel.cli.admin.examination import examine

    checks = list(examine())
    if json:
        emit([{"check": one.name, "state": one.state, "said": one.said, "fix": as_called(one.fix)} for one in checks])
    for one in () if json else checks:
        line(printable(f"{one.state:4}  {one.name}: {one.said}"))
        if one.fix:
            line(printable(f"      -> {as_called(one.fix)}"))
    if failed := [one.name for one in checks if one.state == "fail"]:
        raise SupportTunnelError(
            "doctor.failed",
            f"this machine cannot answer a request yet: {', '.join(failed)}",
            next_step="Do what stands behind each fail, then run this again.",
        )
