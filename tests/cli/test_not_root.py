"""Verbs of the device without root (05, test 63): each says that it needs root and how to get it, and does nothing."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from support_tunnel.cli import paths
from support_tunnel.cli.device.tasks import namespace

TASKS = sorted(set(namespace().tasks) - {"doctor", "upgrade", "explain"})
"""The doctor looks as far as it may, and names what is missing: root too (`judge_host`). In a checkout, as here, an upgrade
changes nothing: it says what to run. To explain an error needs no rights."""


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("SUPPORT_TUNNEL_API", "https://127.0.0.1:1")
    for name in ("DEVICE_VAULT", "DEVICE_LOG", "DEVICE_STATE", "DEVICE_CONFIG", "DEVICE_POLICY"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    return tmp_path


@pytest.mark.parametrize("name", TASKS)
def test_63_a_verb_without_root_says_so_and_does_nothing(
    somebody: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = namespace().tasks[name].body
    wanted = [one for one in inspect.signature(verb).parameters.values() if one.default is one.empty][1:]
    with pytest.raises(Exit) as ended:
        verb(Context(), *("0" * 32 for _ in wanted))
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.splitlines() == [
        "Error (device.root): this needs root on the device.",
        "  -> Run it again with sudo.",
    ]
    assert list(somebody.iterdir()) == []
