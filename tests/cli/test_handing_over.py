"""What the owner's screen, program or file gets of a new code, and what it does not."""

from __future__ import annotations

import json
import os
import pty
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support_tunnel.adapters.qr import drawn
from support_tunnel.cli.device.handing_over import Handing
from support_tunnel.cli.output import shows_pictures
from support_tunnel.core.errors import UsageError
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.code import Code
from support_tunnel.flows.device.record import Record

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
RECORD = Record(
    stage="requested", device_token=Secret("token"), requested=NOW, until=NOW, scope=Scope("shell"), ttl=1800
)


@pytest.fixture(params=[False, True], ids=["token", "words"])
def code(request: pytest.FixtureRequest) -> Code:
    return Code.generate(phone=request.param)


def test_two_lines_that_programs_parse(code: Code, capsys: pytest.CaptureFixture[str]) -> None:
    Handing(file=None, as_json=False, to_stdout=True).show(code, RECORD)
    said = capsys.readouterr()
    fields = dict(line.split(": ", 1) for line in said.out.splitlines()[:2])
    assert fields == {"tunnel_id": code.tunnel, "preshared_key": code.text().reveal()}
    assert Code.parse(fields["preshared_key"]).tunnel == code.tunnel


def test_words_are_shown_with_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    code = Code.generate(phone=True)
    Handing(file=None, as_json=False, to_stdout=True).show(code, RECORD)
    rows = capsys.readouterr().out.splitlines()[3:]
    assert rows == code.grouped().reveal().splitlines()
    assert Code.parse("\n".join(rows)).tunnel == code.tunnel


def test_a_qr_comes_with_the_lines(code: Code, capsys: pytest.CaptureFixture[str]) -> None:
    Handing(file=None, as_json=False, to_stdout=True, as_qr=True).show(code, RECORD)
    said = capsys.readouterr()
    assert said.out.startswith("tunnel_id: ")
    assert said.out.endswith("\n" + drawn(code.text()) + "\n")


def test_nothing_of_a_code_goes_to_stderr(code: Code, capsys: pytest.CaptureFixture[str]) -> None:
    """Which is where log files come from."""
    Handing(file=None, as_json=False, to_stdout=True, as_qr=True).show(code, RECORD)
    said = capsys.readouterr().err
    assert said
    assert code.text().reveal() not in said
    assert "█" not in said
    assert code.grouped().reveal().splitlines()[0] not in said


def test_a_program_gets_json(code: Code, capsys: pytest.CaptureFixture[str]) -> None:
    Handing(file=None, as_json=True, to_stdout=True).show(code, RECORD)
    assert json.loads(capsys.readouterr().out) == {
        "event": "requested",
        "tunnel_id": code.tunnel,
        "preshared_key": code.text().reveal(),
        "until": "2026-05-04T12:00:00+00:00",
        "approved": False,
    }


def test_a_file_only_its_owner_reads(code: Code, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "code"
    handing = Handing(file=file, as_json=False, to_stdout=False)
    handing.show(code, RECORD)
    assert file.stat().st_mode & 0o777 == 0o600
    assert Code.parse(file.read_text()).tunnel == code.tunnel
    assert capsys.readouterr().out == ""
    handing.forget()
    assert not file.exists()


def test_a_file_that_was_there_before_stays(code: Code, tmp_path: Path) -> None:
    """`forget` runs in a `finally`, as root: it may remove only what `show` has made."""
    file = tmp_path / "mine"
    file.write_text("kept")
    handing = Handing(file=file, as_json=False, to_stdout=False)
    handing.forget()
    with pytest.raises(UsageError) as refused:
        handing.show(code, RECORD)
    handing.forget()
    assert refused.value.code == "code.file"
    assert file.read_text() == "kept"


@pytest.mark.parametrize(
    ("encoding", "term", "shown"),
    [("utf-8", "xterm-256color", True), ("UTF8", "linux", True), ("ascii", "xterm", False), ("utf-8", "dumb", False)],
)
def test_where_a_qr_can_be_shown(monkeypatch: pytest.MonkeyPatch, encoding: str, term: str, shown: bool) -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(controller), os.fdopen(terminal, "w", encoding=encoding) as screen:
        monkeypatch.setattr(sys, "stdout", screen)
        assert shows_pictures({"TERM": term}) is shown


def test_no_qr_into_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    receiving, sending = os.pipe()
    with os.fdopen(receiving), os.fdopen(sending, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert not shows_pictures({"TERM": "xterm"})
