"""The step list, plain and live, and what it keeps for JSON."""

from __future__ import annotations

import io
import sys
from unittest.mock import Mock

import pytest

from support_tunnel.adapters.progress import LiveProgress, PlainProgress, Recorder, Step, progress_for
from support_tunnel.core.ports import Progress
from support_tunnel.testing.clock import ManualClock
from support_tunnel.testing.people import RecordedProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def use(progress: Progress, clock: ManualClock) -> None:
    progress.step("launch")
    clock.advance(1.25)
    progress.note("[bold]at 192.0.2.1 \x1b[31m")
    progress.step("connect")
    clock.advance(2)
    progress.end()
    progress.end()


def test_a_file_gets_plain_lines_with_timings() -> None:
    stream, clock = io.StringIO(), ManualClock()
    use(progress_for(stream, clock=clock), clock)
    assert stream.getvalue().splitlines() == [
        "... launch",
        "    [bold]at 192.0.2.1 \N{REPLACEMENT CHARACTER}[31m",
        " ok launch (1.2 s)",
        "... connect",
        " ok connect (2.0 s)",
    ]


def test_a_terminal_gets_a_live_list_with_timings() -> None:
    stream, clock = Terminal(), ManualClock()
    progress = progress_for(stream, clock=clock)
    assert isinstance(progress, LiveProgress)
    use(progress, clock)
    for line in ("✓ launch (1.2 s)", "[bold]at 192.0.2.1 \N{REPLACEMENT CHARACTER}[31m", "✓ connect (2.0 s)"):
        assert line in stream.getvalue()


def test_a_result_in_a_pipe_stays_in_it_while_the_list_is_live(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Terminal()
    progress = LiveProgress(stream, ManualClock())
    progress.step("launch")
    print("tunnel_id: 1a2b")  # noqa: T201 - as a verb writes its result
    progress.end()
    assert capsys.readouterr().out == "tunnel_id: 1a2b\n"
    assert "tunnel_id" not in stream.getvalue()


@pytest.mark.parametrize("midst", ["set_live", "show_cursor", "push_render_hook"])
def test_ctrl_c_in_the_midst_of_a_steps_start_is_ctrl_c(midst: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    progress = LiveProgress(stream, ManualClock())
    with monkeypatch.context() as broken:
        broken.setattr(f"rich.console.Console.{midst}", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            progress.step("launch")
    progress.end()
    progress.step("clean up")
    progress.end()
    assert "✓ clean up (0.0 s)" in stream.getvalue()
    assert stream.getvalue().rfind("\x1b[?25h") > stream.getvalue().rfind("\x1b[?25l"), "the cursor is back"


def test_ctrl_c_in_the_midst_of_its_end_is_ctrl_c_and_the_next_one_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    progress = LiveProgress(stream, ManualClock())
    progress.step("launch")
    with monkeypatch.context() as broken:
        broken.setattr("rich.console.Console.pop_render_hook", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            progress.end()
    progress.step("clean up")
    progress.end()
    assert "✓ clean up (0.0 s)" in stream.getvalue()
    assert stream.getvalue().rfind("\x1b[?25h") > stream.getvalue().rfind("\x1b[?25l"), "the cursor is back"


def test_a_device_without_rich_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)  # what an import of a missing package meets
    assert isinstance(progress_for(Terminal()), PlainProgress)


def test_without_a_stream_it_is_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    use(progress_for(), ManualClock())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "... launch" in captured.err


def test_steps_are_kept_with_their_seconds_and_still_shown() -> None:
    clock, shown = ManualClock(), RecordedProgress()
    recorder = Recorder(shown, clock=clock)
    use(recorder, clock)
    assert recorder.steps == [Step("launch", 1.25), Step("connect", 2.0)]
    assert (shown.steps, len(shown.notes), shown.running) == (["launch", "connect"], 1, False)
