"""Packages of a test's own: a mount namespace in which dpkg's and apt's folders are overlays and the only mirror is a folder.

Nothing is installed on this machine, and nothing is fetched from anywhere.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.desired.bench import Bench

__all__ = ["Packages", "private_packages"]

FURNISH = """
set -e
base=$1
mount --make-rprivate /
mount -t tmpfs ours "$base/over" # dpkg waits for its disk many times
for top in etc var opt; do
    mkdir -p "$base/over/$top/upper" "$base/over/$top/work"
    mount -t overlay over -o "lowerdir=/$top,upperdir=$base/over/$top/upper,workdir=$base/over/$top/work" "/$top"
done
rm -rf /etc/apt/sources.list.d /etc/apt/apt.conf.d/*hook* /var/lib/apt/lists
mkdir -p /etc/apt/sources.list.d /var/lib/apt/lists/partial
echo "deb [trusted=yes] file:$base/mirror ./" >/etc/apt/sources.list
echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/99ours
dpkg -i "$base"/mirror/oracle-old.deb >/dev/null
echo ready
exec cat
"""
"""`cat` holds the namespace, which ends with it when the test closes its input or dies."""


@dataclass(frozen=True, slots=True)
class Packages:
    """A bench whose shell sees these packages; `enter` are words before another command line that is to see them."""

    bench: Bench
    enter: tuple[str, ...]

    def inside(self, *command: str) -> str:
        return subprocess.run([*self.enter, *command], capture_output=True, text=True, check=True, timeout=60).stdout

    def installed(self) -> list[str]:
        """`NAME STATUS FILE` of each package that the tests know."""
        status = "for n in one two three four five old; do dpkg-query -W -f '${Package} ${db:Status-Status}\\n' oracle-$n 2>&1; done; ls /opt"
        return self.inside("sh", "-c", status).splitlines()


def _mirror(folder: Path, names: Sequence[str]) -> None:
    folder.mkdir()
    index = []
    for name in names:
        root = folder / name
        (root / "DEBIAN").mkdir(parents=True)
        (root / "opt").mkdir()
        (root / "opt" / name).write_text(name)
        recommends = "Recommends: oracle-five\n" if name == "oracle-one" else ""
        fields = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <a@example.org>\n{recommends}Description: x\n"
        (root / "DEBIAN/control").write_text(fields)
        made = folder / f"{name}.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", root, made], capture_output=True, check=True)
        shutil.rmtree(root)
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        index.append(f"{fields}Filename: ./{made.name}\nSize: {made.stat().st_size}\nSHA256: {digest}\n")
    (folder / "Packages").write_text("\n".join(index))


@contextmanager
def private_packages(bench: Bench) -> Iterator[Packages]:
    """Make them and have the bench's shell run there."""
    base = bench.base / "packages"
    (base / "over").mkdir(parents=True)
    _mirror(base / "mirror", [f"oracle-{word}" for word in ("one", "two", "three", "four", "five", "old")])
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", FURNISH, "furnish", str(base)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n", "the namespace could not be made; mount or dpkg has said why"
        enter = ("nsenter", "--target", str(holder.pid), "--mount", "--", "setsid")
        bench.shell = [*enter, *bench.shell]
        yield Packages(bench, enter)
