"""`user` and `group`: made, kept, changed, and undone as if they had never been."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desired.bench import Bench, make_bench, statuses
from tests.desired.covered import ACCOUNTS
from tests.desired.killing import Killing, first_and_last
from tests.desired.oracle import Counts, apply_with_ansible
from tests.desired.private_accounts import Accounts, private_accounts

pytestmark = pytest.mark.onebox

ROLE = """
- group: {name: "{{ name }}", system: true}
- user: {name: "{{ name }}", group: "{{ name }}", system: true, password: "*", comment: a session, home: "{{ home }}", create_home: false, shell: /bin/sh}
"""
PLAIN = """
- user: {name: "{{ name }}", comment: "it's $(a) person", shell: /bin/sh, groups: [games, "{{ extra }}"]}
"""


@pytest.fixture
def accounts(bench: Bench) -> Iterator[Accounts]:
    with private_accounts(bench) as made:
        yield made


@pytest.fixture
def dash_accounts(dash: Bench) -> Iterator[Accounts]:
    with private_accounts(dash) as made:
        yield made


VARIABLES = {"name": "st0a1b2c3d", "home": "/run/nowhere", "extra": "mail"}


def test_an_account_is_made_once_as_described(accounts: Accounts) -> None:
    accounts.bench.role(ROLE + PLAIN.replace("{{ name }}", "alice"))
    before = accounts.files()
    assert statuses(accounts.bench.apply(VARIABLES, undo=True, check=True, diff=True)) == ["changed"] * 3
    assert accounts.files() == before
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


@pytest.mark.oracle
def test_ansible_makes_the_same_accounts(tmp_path: Path) -> None:
    ours, theirs = make_bench(tmp_path / "ours", "dash"), make_bench(tmp_path / "theirs", "dash")
    for bench in (ours, theirs):
        bench.role(ACCOUNTS)
    with private_accounts(ours) as our_accounts, private_accounts(theirs) as their_accounts:
        assert statuses(ours.apply()) == ["changed"] * 8

        def ansible() -> Counts:
            roles, templates = theirs.base / "roles", theirs.base / "templates"
            return apply_with_ansible(
                roles, ["demo"], {}, templates=templates, inside=their_accounts.enter, scratch=theirs.base
            )

        assert ansible().changed == 8
        assert in_effect(our_accounts) == in_effect(their_accounts)
        assert statuses(ours.apply()) == ["ok"] * 8
        assert ansible().changed == 0


def in_effect(accounts: Accounts) -> dict[str, object]:
    """The databases without the day of a password's last change, and the homes."""
    databases: dict[str, object] = {}
    for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid"):
        entries = [line.split(":") for line in (accounts.view / "etc" / name).read_text().splitlines()]
        databases[name] = sorted(entry[:2] + entry[3 if name == "shadow" else 2 :] for entry in entries)
    homes = {name: about for name, about in accounts.files().items() if name.startswith(("home", "var/mail"))}
    return {**databases, "homes": homes}


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
# a zombie, which waits for its parent only, has no command line
for process in /proc/[0-9]*; do ! grep -q ^sleep "$process/cmdline" 2>/dev/null || exit 8; done
exit "$status"
"""
    shell = accounts.bench.shell[len(accounts.enter) :]
    accounts.bench.shell = [*accounts.enter, "sh", "-c", start, "start", *shell]
    accounts.bench.undo().raise_for_failure("host")


def test_undo_spares_files_that_an_earlier_account_of_the_same_number_left(accounts: Accounts) -> None:
    accounts.bench.role(ROLE)
    accounts.bench.apply(VARIABLES, undo=True).raise_for_failure("host")
    number = accounts.inside("id", "-u", "st0a1b2c3d").strip()
    accounts.bench.undo().raise_for_failure("host")
    accounts.inside(
        "sh",
        "-c",
        'mkdir "/tmp/an orphan" && touch /dev/shm/orphan "/tmp/an orphan/file" && chown -R "$1" "/tmp/an orphan" /dev/shm/orphan',
        "leave",
        number,
    )
    accounts.bench.apply(VARIABLES, undo=True).raise_for_failure("host")
    assert accounts.inside("id", "-u", "st0a1b2c3d").strip() == number
    accounts.inside(
        "setpriv",
        f"--reuid={number}",
        "--clear-groups",
        "sh",
        "-c",
        'mkdir -p "/tmp/of the session/deep" && cd /var/tmp && touch "/tmp/an orphan/new" "/tmp/of the session/deep/file" -- -dash',
    )
    accounts.bench.undo().raise_for_failure("host")
    left = accounts.inside(
        "sh", "-c", 'find /tmp /var/tmp /dev/shm -xdev -user "$1" | sort', "left", number
    ).splitlines()
    assert [name.rpartition("/")[2] for name in left] == ["orphan", "an orphan", "file"]


CHANGES = ["mkdir", "mv", "cp", "chmod", "chown", "rm", "rmdir", "groupadd", "useradd", "userdel", "find"]


def test_undo_wherever_apply_or_undo_was_killed(dash_accounts: Accounts) -> None:
    dash = dash_accounts.bench
    dash.role(ROLE)
    before = dash_accounts.files()
    killing = Killing(dash, CHANGES)
    dash.apply(VARIABLES, undo=True).raise_for_failure("host")
    apply = killing.ran
    dash.undo().raise_for_failure("host")
    undo = killing.ran[len(apply) :]
    # Every program's first and last turn: useradd and its kin cost too much to be killed at each.
    numbers = first_and_last(apply) + [len(apply) + number for number in first_and_last(undo)]
    assert {"useradd", "groupadd", "mv"} <= set(apply)
    assert {"userdel", "find", "rm", "mv"} <= set(undo)
    for number in numbers:
        killing.before(number)
        applied = dash.apply(VARIABLES, undo=True)
        undone = dash.undo()  # counts on, so that later numbers fall into the undo
        assert applied.failed or undone.failed, f"change {number} did not come"
        killing.nowhere()
        dash.undo().raise_for_failure("host")
        assert dash_accounts.files() == before, f"killed before change {number}"


@pytest.mark.parametrize("half", ["passwd", "shadow", "group", "gshadow"])
def test_undo_of_an_account_that_is_half_there(dash_accounts: Accounts, half: str) -> None:
    dash_accounts.bench.role(ROLE)
    before = dash_accounts.files()
    dash_accounts.bench.apply(VARIABLES, undo=True).raise_for_failure("host")
    # as a useradd or userdel that was killed between two files leaves it: gone from one, a lock of a dead process beside it
    dash_accounts.inside(
        "sh",
        "-c",
        f"sed -i '/^st0a1b2c3d:/d' /etc/{half} && printf '999999999\\0' > /etc/{half}.lock && echo x > /etc/{half}+",
    )
    dash_accounts.bench.undo().raise_for_failure("host")
    assert dash_accounts.files() == before
