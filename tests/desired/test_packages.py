"""A host whose package mirror is away (47): what is there already needs no mirror, and what is missing is said in its words.

`dpkg-query` and `apt-get` are programs of the test's own; real ones are asked in tests/roles.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.desired.bench import Bench, statuses

ROLE = """
- name: The packages
  apt: {name: [nftables, wireguard-tools], state: present, update_cache: true}
- name: What comes after them
  file: {path: "{{ root }}/after", state: directory, mode: "0755"}
"""
AWAY = "E: Failed to fetch http://deb.example/x.deb  Could not resolve 'deb.example'"


@pytest.fixture
def host(bench: Bench) -> Bench:
    """It knows which packages there are by the files of a folder; its mirror cannot be reached."""
    for name in ("there", "asked"):
        (bench.base / name).mkdir()
    query = f"""#!/bin/sh
for last; do :; done
[ -e {bench.base}/there/"$last" ] && echo installed
"""
    get = f"""#!/bin/sh
touch {bench.base}/asked/apt-get
echo "{AWAY}" >&2
exit 100
"""
    for name, text in (("dpkg-query", query), ("apt-get", get)):
        program = bench.base / "patient" / name
        program.write_text(text)
        program.chmod(0o755)
    bench.role(ROLE)
    return bench


def there(host: Bench, *packages: str) -> None:
    for package in packages:
        (host.base / "there" / package).touch()


def test_47_packages_that_are_there_ask_no_mirror(host: Bench) -> None:
    there(host, "nftables", "wireguard-tools")
    assert statuses(host.apply()) == ["ok", "changed"]
    assert list((host.base / "asked").iterdir()) == []
    assert Path(host.root / "after").is_dir()


def test_47_a_missing_one_is_an_error_in_the_mirrors_words_and_nothing_after_it_runs(host: Bench) -> None:
    there(host, "nftables")
    report = host.apply()
    assert statuses(report) == ["failed", "skipped"]
    assert report.failed is not None
    assert report.failed.task == "The packages"
    assert "Could not resolve" in report.failed.detail
    assert not (host.root / "after").exists()
