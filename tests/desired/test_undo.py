"""Undo puts a tree back byte for byte, owner and mode too, wherever the apply or an earlier undo was killed."""

from __future__ import annotations

import os

import pytest

from support_tunnel.core.errors import UsageError
from support_tunnel.desired import undo_report, undo_script
from tests.desired.bench import Bench, Tree, statuses
from tests.desired.killing import Killing

TASKS = """
- file: {path: "{{ root }}/new/deep", state: directory, mode: "0750"}
- file: {path: "{{ root }}/old", state: directory, mode: "0700"}
- copy: {content: mine, dest: "{{ root }}/new/deep/f", mode: "0600"}
- copy: {content: mine, dest: "{{ root }}/old/kept", mode: "0600"}
- copy: {content: mine, dest: "{{ root }}/old/alias", mode: "0600"}
- lineinfile: {path: "{{ root }}/old/lines", regexp: ^b, line: B}
- file: {path: "{{ root }}/old/tree", state: absent}
- file: {path: "{{ root }}/old/target", state: absent}
- file: {path: "{{ root }}/link", src: new, state: link}
- file: {path: "{{ root }}/old/link", src: kept, state: link}
- copy: {content: "odd", dest: "{{ root }}/odd\\n'name", mode: "0644"}
  notify: Write again
"""
HANDLERS = """
- name: Write again
  copy: {content: twice, dest: "{{ root }}/old/kept", mode: "0644"}
"""


def furnish(bench: Bench, tasks: str = TASKS) -> Tree:
    bench.role(tasks, handlers__main=HANDLERS)
    old = bench.root / "old"
    (old / "tree/in").mkdir(parents=True)
    (old / "tree/in/f").write_bytes(b"\0\xff")
    (old / "tree/in/f").chmod(0o4711)
    (old / "tree").chmod(0o1777)
    (old / "kept").write_text("theirs")
    (old / "kept").chmod(0o640)
    (old / "alias").symlink_to("kept")
    (old / "link").symlink_to("tree")
    (old / "target").symlink_to("tree")
    (old / "lines").write_text("a\nb\nc")
    old.chmod(0o2755)
    if os.geteuid() == 0:
        os.chown(old / "kept", 1234, 4321)
        os.chown(old / "tree/in/f", 1234, 4321)
        (old / "tree/in/f").chmod(0o4711)
        os.chown(old, 0, 4321)
        old.chmod(0o2755)
    return bench.tree()


def nothing_left(bench: Bench) -> bool:
    return {path.name for path in bench.base.iterdir()} - {"shims", "patient", "templates"} == {"host", "roles"}


def test_undo_puts_everything_back(bench: Bench) -> None:
    before = furnish(bench)
    bench.apply(undo=True).raise_for_failure("host")
    assert bench.tree() != before
    report = bench.undo()
    report.raise_for_failure("host")
    assert bench.tree() == before
    assert nothing_left(bench)
    again = bench.undo()
    assert again.failed is None
    assert not again.changed


def test_undo_after_two_applies_goes_back_to_the_first_state(bench: Bench) -> None:
    before = furnish(bench)
    bench.apply(undo=True)
    (bench.root / "new/deep/f").write_text("drift")
    bench.apply(undo=True).raise_for_failure("host")
    bench.undo().raise_for_failure("host")
    assert bench.tree() == before


def test_an_apply_that_changes_nothing_records_nothing(bench: Bench) -> None:
    bench.role('- file: {path: "{{ root }}", state: directory, mode: "0755"}')
    bench.root.chmod(0o755)
    assert statuses(bench.apply(undo=True)) == ["ok"]
    assert [path.name for path in bench.journal.iterdir()] == ["made"]
    assert bench.undo().failed is None
    assert nothing_left(bench)


def test_the_journal_is_for_root_only(bench: Bench) -> None:
    furnish(bench)
    bench.apply(undo=True)
    assert bench.journal.stat().st_mode & 0o777 == 0o700
    bench.journal.chmod(0o755)
    (bench.root / "new/deep/f").unlink()
    report = bench.apply(undo=True)
    assert report.failed is not None
    assert report.failed.task == "undo journal"
    assert not (bench.root / "new/deep/f").exists()


def test_a_journal_that_is_a_link_is_refused(bench: Bench) -> None:
    furnish(bench)
    elsewhere = bench.base / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    bench.journal.parent.mkdir(parents=True)
    bench.journal.symlink_to(elsewhere)
    assert bench.apply(undo=True).failed is not None


def test_each_entry_is_on_disk_before_it_counts_and_before_its_change(dash: Bench) -> None:
    furnish(dash)
    killing = Killing(dash, ["sync", "mv"])
    dash.apply(undo=True).raise_for_failure("host")
    entries = len([path for path in dash.journal.iterdir() if path.name[0].isdigit()])
    assert killing.ran.count("sync") >= 2 * entries > 0
    # the journal itself appears, then: what is in the entry, its name, and only then the change
    assert killing.ran[:4] == ["mv", "sync", "mv", "sync"]


@pytest.mark.parametrize("folder", ["relative", "/", "/top", "/a/../b", "/a/", "/a\n/../b"])
def test_only_a_plain_folder_can_be_a_journal(folder: str) -> None:
    with pytest.raises(UsageError):
        undo_script(folder)


def test_an_undo_that_stops_early_is_a_failure(dash: Bench) -> None:
    furnish(dash)
    dash.apply(undo=True)
    done = dash.run(undo_script(str(dash.journal)))
    cut = done.stdout.replace("support-tunnel: end  \n", "")
    assert cut != done.stdout
    assert undo_report(type(done)(0, cut, "")).failed is not None


EACH_KIND = """
- file: {path: "{{ root }}/new/deep", state: directory, mode: "0750"}
- file: {path: "{{ root }}/old", state: directory, mode: "0700"}
- copy: {content: mine, dest: "{{ root }}/old/kept", mode: "0600"}
  notify: Write again
- file: {path: "{{ root }}/old/tree", state: absent}
- file: {path: "{{ root }}/old/link", src: kept, state: link}
"""
"""One change of each kind that the journal knows of files; each costs two dozen programs, and each is killed before."""
CHANGES = ["mkdir", "mv", "cp", "chmod", "chown", "rm", "ln", "rmdir"]


def test_undo_from_every_prefix_of_an_apply(dash: Bench) -> None:
    before = furnish(dash, EACH_KIND)
    killing, plan = Killing(dash, CHANGES), dash.plan(undo=True)
    plan.report(dash.run(plan.script)).raise_for_failure("host")
    changes = killing.counted
    assert changes > 30
    dash.undo().raise_for_failure("host")
    for number in range(1, changes + 1):
        killing.before(number)
        assert plan.report(dash.run(plan.script)).failed is not None
        killing.nowhere()
        dash.undo().raise_for_failure("host")
        assert dash.tree() == before, f"killed before change {number}"
        assert nothing_left(dash), f"killed before change {number}"


def test_undo_after_an_undo_that_was_killed_anywhere(dash: Bench) -> None:
    before = furnish(dash, EACH_KIND)
    killing, plan, undo = Killing(dash, CHANGES), dash.plan(undo=True), undo_script(str(dash.journal))
    dash.run(plan.script)
    killing.nowhere()
    undo_report(dash.run(undo)).raise_for_failure("host")
    changes = killing.counted
    assert changes > 15
    for number in range(1, changes + 1):
        killing.nowhere()
        plan.report(dash.run(plan.script)).raise_for_failure("host")
        killing.before(number)
        assert undo_report(dash.run(undo)).failed is not None
        killing.nowhere()
        undo_report(dash.run(undo)).raise_for_failure("host")
        assert dash.tree() == before, f"killed before change {number}"
        assert nothing_left(dash), f"killed before change {number}"
