"""Where a careless program leaves a secret: argument lists, environments, journals, logs, histories, databases, files.

Places are read as they are while a session runs and after it, with root's eyes; what was read is searched for each secret in each
spelling. Where a secret has to lie is said in HOMES, and nowhere else is one let pass.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud.container import init_of
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.local_cloud.layout import CloudLayout
from support_tunnel.core.names import TunnelId
from tests.onebox.capture import spellings
from tests.onebox.crew import Crew

EVERY = 0.05
"""Seconds between two looks at all processes."""
LARGEST = 16 * 2**20
MEMORY_OF_A_SESSION = "run/support_tunnel/*"
"""On the device: its vault and the session's own folder, on tmpfs, 0700."""

PUBLIC = frozenset({"name of the device", "name of the admin", "command", "output"})
"""Kept from the wire only: people and logs on both ends may know them."""

HOMES: Mapping[str, tuple[str, ...]] = {
    "server:etc/ssh/*": ("host key of the server*",),
    "server:etc/wireguard/*": ("server's WireGuard key", "preshared key"),
    "server:var/lib/cloud/*": ("first host key of the server*",),
    "server:run/cloud-init/*": ("first host key of the server*",),
    "admin:cloud/nodes/*/node.json": ("first host key of the server*",),
    "admin:cloud/nodes/*/user-data*": ("first host key of the server*",),
}
"""Which secrets a place may hold: a server's own keys on the server; its first host key, worth nothing after the first minute
(2.10), in what the cloud was told."""

HISTORIES = (".bash_history", ".python_history", ".zsh_history", ".sh_history", ".ash_history")


@dataclass(slots=True)
class Processes:
    """Every argument list and environment that any process of this machine, the nodes' among them, showed meanwhile."""

    argv: set[bytes] = field(default_factory=set)
    environ: set[bytes] = field(default_factory=set)
    core_limit: dict[str, str] = field(default_factory=dict)
    """Of our own tools, by what they are, as it was when last seen: the largest core file."""
    logged: list[bytes] = field(default_factory=list)
    """What this process, in which the API runs, has written to any logger at any level."""

    def haystacks(self) -> dict[str, bytes]:
        return {
            "argv": b"\n".join(sorted(self.argv)),
            "environ": b"\n".join(sorted(self.environ)),
            "log of the API": b"\n".join(self.logged),
        }

    def look(self) -> None:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    argv = (entry / "cmdline").read_bytes()
                    self.argv.add(argv)
                    self.environ.add((entry / "environ").read_bytes())
                    if ours := _tool(argv):
                        limits = (entry / "limits").read_text()
                        self.core_limit[f"{ours} {entry.name}"] = limits.partition("Max core file size")[2].split()[0]
                except (OSError, IndexError):
                    continue  # it has ended, or is ending


def _tool(argv: bytes) -> str:
    """inv, fab or the keeper; nothing for what only starts one (env, ssh, sh)."""
    words = argv.split(b"\0")
    if b"python" not in words[0]:
        return ""
    if b"support_tunnel.cli.device.keeper" in words:
        return "keeper"
    return next((word.rpartition(b"/")[2].decode() for word in words[1:2] if word.endswith((b"/inv", b"/fab"))), "")


class _Kept(logging.Handler):
    def __init__(self, logged: list[bytes]) -> None:
        super().__init__(logging.NOTSET)
        self._logged = logged

    def emit(self, record: logging.LogRecord) -> None:
        self._logged.append(self.format(record).encode())


@contextmanager
def watching() -> Iterator[Processes]:
    """Look at all processes again and again until the end of the `with`."""
    seen, over = Processes(), threading.Event()

    def look() -> None:
        while not over.wait(EVERY):
            seen.look()

    looking, root = threading.Thread(target=look, daemon=True), logging.getLogger()
    kept, level = _Kept(seen.logged), root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()
        root.removeHandler(kept)
        root.setLevel(level)


def places(people: Crew, since: float) -> dict[str, bytes]:
    """What any disk or log has got since then, by name: `HOST:PATH`."""
    journal = f"journalctl --no-pager --all -o export --since=@{int(since)}"
    found = {
        "device:journal": people.device(journal).encode(errors="replace"),
        "device:kernel's log": people.device("dmesg").encode(errors="replace"),
    }
    cloud = CloudLayout(people.on.cloud_root)
    for node in LocalNodeDriver(people.on.cloud_root).list_nodes():
        layout = cloud.node(node.id)
        name = "device" if node.id == people.on.device.id else "server"
        found |= _files(layout.upper, f"{name}:", since)
        if pid := init_of(layout):
            found |= _files(Path(f"/proc/{pid}/root/run"), f"{name}:run/", since, leave_out=MEMORY_OF_A_SESSION)
            found |= _files(Path(f"/proc/{pid}/root/dev/shm"), f"{name}:dev/shm/", since)
    stage = people.on.folder
    # Not the vault, and not the three files of people's own keys that the stage gave them.
    for part in ("state", "api"):
        found |= _files(stage / part, f"admin:{part}/", since)
    for record in (*stage.glob("cloud/*"), *stage.glob("cloud/nodes/*/*")):  # their trees are the nodes' own, above
        found |= {f"admin:{record.relative_to(stage)}": record.read_bytes()} if record.is_file() else {}
    for folder in (Path.home(), Path("/tmp"), Path("/var/tmp"), Path("/var/log")):  # noqa: S108 - read, not written
        found |= _files(folder, f"here:{folder}/", since, leave_out="*/bridge.pcap")
    for history in HISTORIES:
        if (file := Path.home() / history).is_file():
            found[f"here:{file}"] = file.read_bytes()
    return found


def _files(folder: Path, label: str, since: float, *, leave_out: str = "") -> dict[str, bytes]:
    newer = ("-type", "f", "-newermt", f"@{since}", "-size", f"-{LARGEST // 1024}k", "-print0")
    # find(1), because there may be a hundred thousand; what goes away under its feet, as in a /tmp of many, is passed over.
    paths = processes.run(["find", folder, *newer], timeout=60, accept=None).stdout.split("\0")[:-1]
    found = {}
    for path in paths:
        inside = str(Path(path).relative_to(folder))
        if not fnmatch(f"{label.partition(':')[2]}{inside}", leave_out):
            with suppress(OSError):
                found[f"{label}{inside}"] = Path(path).read_bytes()
    return found


def search(haystacks: Mapping[str, bytes], secrets: Mapping[str, bytes]) -> list[str]:
    """Name each secret that lies where it may not, how it is spelt, and the place."""
    needles = [
        (name, how, needle)
        for name, secret in secrets.items()
        if name not in PUBLIC
        for how, needle in spellings(secret).items()
    ]
    return [
        f"{place}: {name}, {how}"
        for place, haystack in haystacks.items()
        for name, how, needle in needles
        if needle in haystack and not _at_home(place, name)
    ]


def _at_home(place: str, name: str) -> bool:
    return any(fnmatch(place, home) and any(fnmatch(name, one) for one in names) for home, names in HOMES.items())


def canary_places(people: Crew, canary: str, tunnel: TunnelId) -> None:
    """Leave a text at every kind of place, as a careless program would."""
    people.device(f"""
        echo {canary} | tee -a /root/.careless_history /var/log/careless.log /run/careless /dev/shm/careless >/dev/null
        logger -t careless {canary}
        env CARELESS={canary} sleep 3 &
        sh -c 'sleep 3; :' {canary} &
    """)
    people.server(tunnel, f"echo {canary} > /root/careless")
    state = Path(people.on.settings.state)
    (state / "careless").write_text(canary)
    (people.on.folder / "api" / "careless").write_text(canary)
    logging.getLogger("uvicorn.error").debug("careless %s", canary)


CANARY_AT = (
    "argv",
    "environ",
    "log of the API",
    "device:journal",
    "device:root/.careless_history",
    "device:var/log/careless.log",
    "device:run/careless",
    "device:dev/shm/careless",
    "server:root/careless",
    "admin:state/careless",
    "admin:api/careless",
)


def clear_canary(people: Crew) -> None:
    people.device("rm -f /root/.careless_history /var/log/careless.log /run/careless /dev/shm/careless")
    for folder in (Path(people.on.settings.state), people.on.folder / "api"):
        (folder / "careless").unlink()


# --- who may read what was made ---------------------------------------------------------------------------------------

MODES = r"find {folders} -printf '%y %m %U %p\n' 2>/dev/null"
MADE_ON_DEVICE = "/run/support_tunnel /var/log/support_tunnel /var/lib/support_tunnel/admins.json"
BEHIND_A_CLOSED_DOOR = re.compile(
    r"/run/support_tunnel/([0-9a-f]{8}/(session(/authorized_keys)?|home)|undo-[0-9a-f]{8}/[^/]+/etc/.*)"
)
"""In folders that are 0700: what sshd reads as the session's user, which is no secret; and copies of the device's own files, with
the modes that those have, to be put back by the undo."""


def loose(listing: str) -> list[str]:
    """Lines of MODES that are neither 0700 folders nor 0600 files of root's own."""
    wanted = {("d", "700", "0"), ("f", "600", "0")}
    lines = [line.split(" ", 3) for line in listing.splitlines()]
    return [
        " ".join(line)
        for line in lines
        if tuple(line[:3]) not in wanted and not BEHIND_A_CLOSED_DOOR.fullmatch(line[3]) and line[0] != "s"
    ]
