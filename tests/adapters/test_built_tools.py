"""A program that set-up could not get is told apart from a set-up that has not run: only the first may skip a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.core.errors import HostError


def checkout(folder: Path, *lines: str) -> Path:
    (folder / ".venv").mkdir()
    (folder / ".venv" / "tools").write_text("".join(f"{line}\n" for line in lines))
    return folder


def code_of(folder: Path) -> str:
    with pytest.raises(HostError) as caught:
        built_tool(folder, "headscale")
    return caught.value.code


def test_a_program_is_found_where_set_up_wrote_it_down(tmp_path: Path) -> None:
    program = tmp_path / "a folder" / "headscale"
    program.parent.mkdir()
    program.touch()
    assert built_tool(checkout(tmp_path, "tailscale /nowhere", f"headscale {program}"), "headscale") == program


def test_a_program_that_could_not_be_had_is_missing(tmp_path: Path) -> None:
    assert code_of(checkout(tmp_path, "tailscale /nowhere")) == "tool.missing"


def test_a_set_up_that_has_not_run_is_no_reason_to_skip(tmp_path: Path) -> None:
    assert code_of(tmp_path) == "tool.unprepared"
    assert code_of(checkout(tmp_path, f"headscale {tmp_path}/swept-away")) == "tool.unprepared"
