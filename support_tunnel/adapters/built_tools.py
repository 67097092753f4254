"""Where set-up put the programs that it built or that the user named, as `.venv/tools` of a checkout says (tools/go-tools).

For tests and rehearsals, which run a whole Headscale on this machine. Servers and devices get theirs from a role.
"""

from __future__ import annotations

from pathlib import Path

from support_tunnel.core.errors import HostError

__all__ = ["built_tool"]


def built_tool(checkout: Path, program: str) -> Path:
    """Find `headscale`, `tailscale`, `tailscaled`, `tofu` or `stand-in-provider`.

    Raises HostError `tool.unprepared` where set-up has not run, `tool.missing` where it found no way to get the program.
    """
    try:
        lines = (checkout / ".venv" / "tools").read_text().splitlines()
    except FileNotFoundError:
        raise HostError(
            "tool.unprepared", f"set-up has not looked for {program} yet", next_step="Run: tools/setup go"
        ) from None
    known = dict(line.split(" ", 1) for line in lines)
    path = Path(known.get(program, "/nonexistent"))
    if program not in known:
        raise HostError(
            "tool.missing",
            f"there is no {program} on this machine, and no Go that could build it",
            next_step=f"Install Go, or name the program in SUPPORT_TUNNEL_{program.upper().replace('-', '_')}_BINARY; then: tools/setup go",
        )
    if not path.exists():
        raise HostError("tool.unprepared", f"{path} is gone since set-up found it", next_step="Run: tools/setup go")
    return path
