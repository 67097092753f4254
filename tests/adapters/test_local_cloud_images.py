"""The image is built once, whole or not at all. The builder here is a program of the test's own, so that it can fail at will."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support_tunnel.adapters.local_cloud import images, prerequisites
from support_tunnel.core.errors import CloudError, HostError

BUILDER = """#!/bin/sh
echo "$@" >> {log}
for last; do :; done
case "$last" in deb\\ *) ;; *) echo "E: no source" >&2; exit 1;; esac
target=$(echo "$@" | grep -o '{cache}/building')
mkdir -p "$target/etc" && touch "$target/etc/debian_version"
{end}
"""
MIRROR = """#!/bin/sh
echo 'https://mirror.example/debian-security/|Debian|Debian-Security'
echo 'https://other.example/tools/|Tools|Tools'
echo 'https://mirror.example/debian/|Debian|Debian'
"""


class Workshop:
    """A folder of programs that stand before the real ones."""

    def __init__(self, folder: Path) -> None:
        self.programs, self.log, self.cache = folder / "bin", folder / "log", folder / "cache"
        self.programs.mkdir()
        self.put("apt-get", MIRROR)

    def put(self, name: str, text: str) -> None:
        program = self.programs / name
        program.write_text(text)
        program.chmod(0o755)

    def builder(self, end: str = "exit 0") -> None:
        self.put("mmdebstrap", BUILDER.format(log=self.log, cache=self.cache, end=end))

    def builds(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    made = Workshop(tmp_path)
    monkeypatch.setenv("PATH", f"{made.programs}:/usr/bin:/bin")
    return made


def test_it_is_built_once_from_this_machines_own_mirror(workshop: Workshop) -> None:
    workshop.builder()
    first = images.debian_13(workshop.cache)
    assert images.debian_13(workshop.cache) == first
    (line,) = workshop.builds()
    assert "https://mirror.example/debian trixie main" in line
    assert (first / "etc/debian_version").exists()
    assert [path.name for path in workshop.cache.iterdir()] == [first.name]


def test_two_builders_at_once_build_one_image(workshop: Workshop) -> None:
    workshop.builder()
    with ThreadPoolExecutor(4) as pool:
        built = set(pool.map(lambda _: images.debian_13(workshop.cache), range(4)))
    assert len(built) == 1
    assert len(workshop.builds()) == 1


def test_a_failed_build_leaves_nothing_that_looks_like_an_image(workshop: Workshop) -> None:
    workshop.builder("echo 'E: mirror does not answer' >&2; exit 25")
    with pytest.raises(CloudError) as failed:
        images.debian_13(workshop.cache)
    assert failed.value.code == "cloud.image"
    assert "mirror does not answer" in failed.value.message
    assert list(workshop.cache.iterdir()) == []


def test_what_a_killed_builder_left_is_replaced(workshop: Workshop) -> None:
    workshop.builder()
    (workshop.cache / "building/etc").mkdir(parents=True)
    (workshop.cache / "building/half").touch()
    assert not (images.debian_13(workshop.cache) / "half").exists()


def test_without_a_mirror_the_next_step_is_named(workshop: Workshop) -> None:
    workshop.put("apt-get", "#!/bin/sh\n")
    with pytest.raises(CloudError) as failed:
        images.debian_13(workshop.cache)
    assert "apt-get update" in failed.value.next_step


@pytest.mark.onebox
def test_missing_packages_are_one_line_to_install(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "environment", lambda: {"PATH": str(workshop.programs)})
    with pytest.raises(HostError) as failed:
        prerequisites.check(images.IMAGES["debian-13"])
    assert failed.value.next_step == (
        "apt-get install iproute2 mmdebstrap mount openssh-client systemd-container util-linux"
    )
