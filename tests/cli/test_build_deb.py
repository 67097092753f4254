"""The files of tools/debian/ name nothing of ours themselves; the package they make is in tests/onebox/test_debian_package.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from tools import build_deb

FOLDER = build_deb.ROOT / "tools/debian"
PACKED = {"version": "1", "architecture": "all", "maintainer": "a <b@c>", "python": "3.1", "next_python": "3.2", "size": "1"}  # fmt: skip
FILES = sorted(path.name for path in FOLDER.iterdir() if path.is_file())


@pytest.mark.parametrize("name", FILES)
def test_what_is_named_is_filled_in_and_nothing_is_written_twice(name: str, tmp_path: Path) -> None:
    text = (FOLDER / name).read_text()
    ours = [value for key, value in build_deb.NAMED.items() if key != "package" and value in text]
    assert ours == []
    made = build_deb.filled(name, build_deb.NAMED | PACKED)
    assert not re.search(r"@[a-z_]+@", made)
    assert made != text
    if made.startswith("#!/bin/sh"):
        (tmp_path / name).write_text(made)
        processes.run(["sh", "-n", tmp_path / name])


def test_a_name_that_nobody_knows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tools/debian").mkdir(parents=True)
    (tmp_path / "tools/debian/postrm").write_text("rm -rf @nothing@/x\n")
    monkeypatch.setattr(build_deb, "ROOT", tmp_path)
    with pytest.raises(KeyError, match="nothing"):
        build_deb.filled("postrm", build_deb.NAMED)
