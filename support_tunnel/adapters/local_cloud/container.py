"""Start and end a node's processes: systemd-nspawn with the node's own init, found again without remembering a pid.

Everything of a node is in its control group and, but for what made namespaces of its own, in its network namespace. So a node
whose maker died, or whose systemd-nspawn was killed (that orphans the container), is found all the same.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud import cgroups
from support_tunnel.adapters.local_cloud.layout import NodeLayout
from support_tunnel.core.ports import Clock
from support_tunnel.core.waiting import wait_for

__all__ = ["boot", "end", "init_of", "listens", "members"]

_LISTENING = "0A"  # st in /proc/net/tcp, see proc_pid_net(5)


def boot(node: NodeLayout, *, hostname: str, bind_ro: Iterable[str]) -> None:
    """Start the node's init; returns at once."""
    binds = [f"--bind-ro={path.replace(':', chr(92) + ':')}" for path in bind_ro]
    processes.launch(
        [
            sys.executable, "-I", "-S", Path(__file__).with_name("enter.py"), *cgroups.make(node), "--",
            "setsid", "--fork", "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit",
            f"--machine={node.id}", f"--hostname={hostname}", f"--directory={node.merged}",
            f"--network-namespace-path={node.netns}", "--capability=CAP_NET_ADMIN",
            "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe", *binds,
        ],
        output=node.console,
        # /tmp of a Debian 12 machine is on its disk; as a tmpfs it would hide what a session leaves there.
        env={"SYSTEMD_NSPAWN_TMPFS_TMP": "0"},
    )  # fmt: skip


def end(node: NodeLayout, clock: Clock) -> None:
    """Kill everything of the node, until there is nothing: also what outlived its init or its supervisor."""

    def nothing_left() -> bool | None:
        alive = members(node)
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return None if alive else True

    # SIGKILL, not a polite shutdown: that takes seconds, and a cloud that deletes a server pulls the plug as well.
    wait_for(nothing_left, what=f"end of the processes of {node.id}", seconds=20, clock=clock, longest_pause=0.1)
    cgroups.remove(node, clock)


def members(node: NodeLayout) -> set[int]:
    """Every process of the node, systemd-nspawn among them; zombies left out."""
    return {pid for pid in cgroups.processes_in(node) | _in_namespace(node) if _alive(pid)}


def init_of(node: NodeLayout) -> int | None:
    """Pid, as this machine counts, of the node's own pid 1."""
    for look in (cgroups.processes_in, _in_namespace):  # the second reads all of /proc, and is asked only if need be
        for pid in sorted(look(node)):
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                if re.search(r"^NSpid:\t\d+\t1$", status, re.MULTILINE) and _alive(pid):
                    return pid
    return None


def listens(pid: int, port: int) -> bool:
    """Tell from the kernel's table whether something in `pid`'s network listens on TCP `port`.

    Not by connecting: OpenSSH 9.8 and later shuts out an address that connects often without logging in.
    """
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                if state == _LISTENING and int(local.rsplit(":", 1)[1], 16) == port:
                    return True
    return False


def _alive(pid: int) -> bool:
    """Version 1 control groups list zombies too; their parent may take its time."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def _in_namespace(node: NodeLayout) -> set[int]:
    try:
        wanted = node.netns.stat()
    except FileNotFoundError:
        return set()
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if os.path.samestat((entry / "ns/net").stat(), wanted):
                found.add(int(entry.name))
    return found
