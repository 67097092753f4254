"""Accounts of a test's own: mount and process namespaces in which /etc is an overlay, so this machine's are never touched.

Processes too, because undo kills and deletes by uid, and the uid may be in use on this machine.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.desired.bench import Bench

__all__ = ["Accounts", "private_accounts"]

CHECKOUT = Path(__file__).resolve().parents[2]
FURNISH = """
set -e
base=$1 checkout=$2
mount --make-rprivate /
mount -t tmpfs ours "$base" # useradd waits for its disk many times
cd "$base"
mkdir -p upper work home mail
mount -t overlay over -o "lowerdir=/etc,upperdir=$base/upper,workdir=$base/work" /etc
mount --bind home /home
mount --bind mail /var/mail
mount -t tmpfs ours /dev/shm
mount -t tmpfs ours /var/tmp
mount -t tmpfs ours /var/log # lastlog
case $checkout in /tmp/*) mkdir checkout && mount --rbind "$checkout" checkout ;; esac
cd ..
bench=$(dirname "$base")
mount -t tmpfs ours /tmp
chmod 1777 /tmp
mkdir -p "$bench"
mount --no-canonicalize --bind . "$bench"
case $checkout in
    /tmp/*)
        mkdir -p "$checkout"
        mount --no-canonicalize --rbind ./accounts/checkout "$checkout"
        ;;
esac
echo ready
exec cat
"""
"""`cat` holds the namespaces and ends, and they with it, when the test closes its input or dies."""
Files = dict[str, tuple[int, int, int, str]]


@dataclass(frozen=True, slots=True)
class Accounts:
    """A bench whose shell sees these accounts."""

    bench: Bench
    enter: tuple[str, ...]
    """Words before a command line that is to see them too."""
    view: Path
    """Their root folder, seen from here."""

    def inside(self, *command: str) -> str:
        return subprocess.run([*self.enter, *command], capture_output=True, text=True, check=True, timeout=60).stdout

    def files(self) -> Files:
        """Everything in /etc and the folders of accounts: mode, owner, group, content."""
        found: Files = {}
        for top in ("etc", "home", "var/mail"):
            for path in (self.view / top).rglob("*"):
                about = path.lstat()
                content = (
                    hashlib.sha256(path.read_bytes()).hexdigest() if not path.is_symlink() and path.is_file() else ""
                )
                found[str(path.relative_to(self.view))] = (about.st_mode, about.st_uid, about.st_gid, content)
        return found


@contextmanager
def private_accounts(bench: Bench) -> Iterator[Accounts]:
    """Make them and have the bench's shell run there."""
    base = bench.base / "accounts"
    base.mkdir()
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with subprocess.Popen(
        [*namespaces, "sh", "-c", FURNISH, "furnish", str(base), str(CHECKOUT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n", "the namespaces could not be made; mount has said why"
        first = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().strip()
        # A session of its own: a script that kills its group must not kill nsenter, its only parent that could reap it.
        enter = ("nsenter", "--target", first, "--mount", "--pid", "--", "setsid")
        bench.shell = [*enter, *bench.shell]
        yield Accounts(bench, enter, Path(f"/proc/{first}/root"))
