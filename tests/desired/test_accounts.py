"""Accounts, in a mount namespace of their own: /etc is an overlay there, so this machine's accounts are never touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.desired.bench import Bench, statuses

pytestmark = pytest.mark.onebox

ROLE = """
- group: {name: "{{ name }}", system: true}
- user: {name: "{{ name }}", group: "{{ name }}", system: true, password: "*", comment: a session, home: "{{ home }}", create_home: false, shell: /bin/sh}
"""
PLAIN = """
- user: {name: "{{ name }}", comment: "it's $(a) person", shell: /bin/sh, groups: [games, "{{ extra }}"]}
"""
# Processes too are in a namespace of their own: undo kills and deletes by uid, and the uid may be in use on this machine.
ENTER = """
set -e
base=$1
cd "$base"
mkdir -p upper work home mail
mount --make-rprivate /
mount -t overlay over -o "lowerdir=/etc,upperdir=$base/upper,workdir=$base/work" /etc
mount --bind home /home
mount --bind mail /var/mail
mount -t tmpfs ours /dev/shm
mount -t tmpfs ours /var/tmp
cd ..
bench=$(dirname "$base")
mount -t tmpfs ours /tmp
mkdir -p "$bench"
mount --no-canonicalize --bind . "$bench"
cd "$bench"
shift
exec "$@"
"""
SNAPSHOT = """
import hashlib, json, pathlib
found = {}
for root in ("/etc", "/home", "/var/mail"):
    for path in sorted(pathlib.Path(root).rglob("*")):
        about = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
        found[str(path)] = (about.st_mode, about.st_uid, about.st_gid, content)
print(json.dumps(found))
"""


class Accounts:
    """A bench whose shell has an /etc of its own, kept between runs."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.namespace = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            ENTER,
            "enter",
            str(bench.base / "accounts"),
        ]
        (bench.base / "accounts").mkdir()
        self.bench.shell = [*self.namespace, *bench.shell]

    def inside(self, *command: str) -> str:
        return subprocess.run(
            [*self.namespace, *command], capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def files(self) -> dict[str, list[object]]:
        found: dict[str, list[object]] = json.loads(self.inside(sys.executable, "-c", SNAPSHOT))
        return found


@pytest.fixture
def accounts(bench: Bench) -> Accounts:
    return Accounts(bench)


VARIABLES = {"name": "st0a1b2c3d", "home": "/run/nowhere", "extra": "mail"}


def test_an_account_is_made_once_as_described(accounts: Accounts) -> None:
    accounts.bench.role(ROLE + PLAIN.replace("{{ name }}", "alice"))
    accounts.bench.apply(VARIABLES, undo=True).raise_for_failure("host")
    entry = accounts.inside("getent", "passwd", "st0a1b2c3d").strip().split(":")
    assert entry[4:] == ["a session", "/run/nowhere", "/bin/sh"]
    assert int(entry[2]) < 1000
    assert accounts.inside("getent", "shadow", "st0a1b2c3d").split(":")[1] == "*"
    assert accounts.inside("getent", "passwd", "alice").split(":")[4] == "it's $(a) person"
    assert set(accounts.inside("id", "-Gn", "alice").split()) == {"alice", "games", "mail"}
    second = accounts.bench.apply(VARIABLES, undo=True)
    assert statuses(second) == ["ok"] * 3


def test_drift_of_an_account_is_repaired(accounts: Accounts) -> None:
    accounts.bench.role(PLAIN)
    accounts.bench.apply(VARIABLES).raise_for_failure("host")
    for drift in (
        ["usermod", "-s", "/bin/false"],
        ["usermod", "-G", "games"],
        ["usermod", "-aG", "uucp"],
        ["usermod", "-c", "x"],
    ):
        accounts.inside(*drift, "st0a1b2c3d")
        assert statuses(accounts.bench.apply(VARIABLES)) == ["changed"], drift
        assert statuses(accounts.bench.apply(VARIABLES)) == ["ok"], drift


def test_a_password_is_set_through_stdin_and_hidden(accounts: Accounts) -> None:
    accounts.bench.role('- user: {name: "{{ name }}", password: "{{ hash }}", create_home: false}\n  no_log: true\n')
    for hashed in ("$6$salt$" + "x" * 20, "$y$other$" + "z" * 20):
        variables = {**VARIABLES, "hash": hashed}
        assert statuses(accounts.bench.apply(variables)) == ["changed"]
        assert statuses(accounts.bench.apply(variables)) == ["ok"]
        assert accounts.inside("getent", "shadow", "st0a1b2c3d").split(":")[1] == hashed


def test_undo_leaves_the_account_files_as_they_were(accounts: Accounts) -> None:
    accounts.bench.role(ROLE + PLAIN.replace("{{ name }}", "alice"))
    before = accounts.files()
    accounts.bench.apply(VARIABLES, undo=True).raise_for_failure("host")
    assert accounts.files() != before
    accounts.bench.undo().raise_for_failure("host")
    assert accounts.files() == before


def test_undo_keeps_what_others_changed_meanwhile(accounts: Accounts) -> None:
    accounts.bench.role(ROLE)
    accounts.bench.apply(VARIABLES, undo=True).raise_for_failure("host")
    accounts.inside("useradd", "-m", "mallory")
    accounts.bench.undo().raise_for_failure("host")
    assert accounts.inside("getent", "passwd", "mallory")
    assert "st0a1b2c3d" not in accounts.inside("cat", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")


def test_an_account_that_was_there_is_left_alone_with_undo(accounts: Accounts) -> None:
    accounts.inside("useradd", "-r", "st0a1b2c3d")
    before = accounts.files()
    accounts.bench.role(PLAIN)
    report = accounts.bench.apply(VARIABLES, undo=True)
    assert report.failed is not None
    assert "there already" in report.failed.detail
    accounts.bench.undo().raise_for_failure("host")
    assert accounts.files() == before


def test_undo_ends_the_processes_of_the_account(accounts: Accounts) -> None:
    accounts.bench.role(ROLE)
    accounts.bench.apply(VARIABLES, undo=True).raise_for_failure("host")
    # two processes of the account, one of which starts others for as long as it lives, and a file of each
    start = """
for i in 1 2; do
  setpriv --reuid="$(id -u st0a1b2c3d)" --clear-groups sh -c 'echo x > /tmp/mine.$$; while :; do sleep 300 & sleep 0.01; done' >/dev/null 2>&1 &
done
until [ "$(ls /tmp/mine.* 2>/dev/null | wc -l)" = 2 ]; do :; done
"$@"
status=$?
ls /tmp/mine.* 2>/dev/null && exit 9
for process in /proc/[0-9]*; do ! grep -q sleep "$process/comm" 2>/dev/null || exit 8; done
exit "$status"
"""
    accounts.bench.shell = [
        *accounts.namespace,
        "sh",
        "-c",
        start,
        "start",
        *accounts.bench.shell[len(accounts.namespace) :],
    ]
    accounts.bench.undo().raise_for_failure("host")


TOOLS = ["mkdir", "mv", "cp", "chmod", "chown", "rm", "rmdir", "groupadd", "useradd", "userdel", "groupdel", "find"]


def test_undo_wherever_apply_or_undo_was_killed(dash: Bench) -> None:
    accounts = Accounts(dash)
    dash.role(ROLE)
    before = accounts.files()
    shims, count = dash.base / "shims", dash.base / "count"
    shims.mkdir()
    for name in TOOLS:
        real = next(
            path for path in (Path("/usr/sbin") / name, Path("/bin") / name, Path("/usr/bin") / name) if path.exists()
        )
        (shims / name).write_text(f"""#!/bin/dash
echo >> {count}
[ "$(wc -l < {count})" != "$(cat {shims}/fatal)" ] || kill -KILL 0
exec {real} "$@"
""")
        (shims / name).chmod(0o755)
    dash.path = f"{shims}:{os.environ['PATH']}"
    deaths = 0
    while True:
        count.write_text("")
        (shims / "fatal").write_text(str(deaths + 1))
        applied = dash.apply(VARIABLES, undo=True)
        undone = dash.undo()  # counts on, so that later numbers fall into the undo
        if applied.failed is None and undone.failed is None:
            break
        deaths += 1
        (shims / "fatal").write_text("0")
        dash.undo().raise_for_failure("host")
        assert accounts.files() == before, f"killed before change {deaths}"
    assert deaths > 20


@pytest.mark.parametrize("half", ["passwd", "shadow", "group", "gshadow"])
def test_undo_of_an_account_that_is_half_there(dash: Bench, half: str) -> None:
    accounts = Accounts(dash)
    dash.role(ROLE)
    before = accounts.files()
    dash.apply(VARIABLES, undo=True).raise_for_failure("host")
    # as a useradd or userdel that was killed between two files leaves it: gone from one, a lock of a dead process beside it
    accounts.inside(
        "sh",
        "-c",
        f"sed -i '/^st0a1b2c3d:/d' /etc/{half} && printf '999999999\\0' > /etc/{half}.lock && echo x > /etc/{half}+",
    )
    dash.undo().raise_for_failure("host")
    assert accounts.files() == before
