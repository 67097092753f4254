"""`apt` and `package` with a real dpkg: installed once, removed once, and the same packages as Ansible's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desired.bench import Bench, make_bench, statuses
from tests.desired.covered import PACKAGES
from tests.desired.oracle import Counts, apply_with_ansible
from tests.desired.private_packages import Packages, private_packages

pytestmark = pytest.mark.onebox

BEFORE = ["oracle-old installed"]
AFTER = [*(f"oracle-{word} installed" for word in ("one", "two", "three", "four"))]


@pytest.fixture
def packages(bench: Bench) -> Iterator[Packages]:
    with private_packages(bench) as made:
        yield made


def known(packages: Packages) -> list[str]:
    return [line for line in packages.installed() if line.endswith(" installed")]


def test_packages_come_and_go_once_and_one_that_does_not_exist_stops_the_run(packages: Packages) -> None:
    packages.bench.role(PACKAGES)
    assert known(packages) == BEFORE
    assert statuses(packages.bench.apply(check=True)) == ["changed"] * 4
    assert known(packages) == BEFORE
    packages.bench.apply().raise_for_failure("host")
    assert known(packages) == AFTER
    assert statuses(packages.bench.apply()) == ["ok"] * 4

    packages.bench.role("- apt: {name: oracle-none}\n" + PACKAGES)
    report = packages.bench.apply()
    assert statuses(report) == ["failed", *["skipped"] * 4]
    assert "oracle-none" in report.outcomes[0].detail
    assert known(packages) == AFTER


@pytest.mark.oracle
def test_ansible_installs_the_same(tmp_path: Path) -> None:
    ours, theirs = make_bench(tmp_path / "ours", "dash"), make_bench(tmp_path / "theirs", "dash")
    for bench in (ours, theirs):
        bench.role(PACKAGES)
    with private_packages(ours) as our_packages, private_packages(theirs) as their_packages:
        ours.apply().raise_for_failure("host")

        def ansible() -> Counts:
            roles, templates = theirs.base / "roles", theirs.base / "templates"
            return apply_with_ansible(
                roles, ["demo"], {}, templates=templates, inside=their_packages.enter, scratch=theirs.base
            )

        assert ansible().changed == 4
        assert our_packages.installed() == their_packages.installed()
        assert statuses(ours.apply()) == ["ok"] * 4
        assert ansible().changed == 0
