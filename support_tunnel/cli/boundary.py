"""The one place that knows Invoke's `Exit`: expected errors become one line and a code, unexpected ones a debug file.

A task's return value is ignored by Invoke, so nothing but an exception sets the exit status.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from invoke.exceptions import Exit
from invoke.tasks import Task, task

from support_tunnel.adapters.own_memory import close_own_memory
from support_tunnel.cli.called import as_called
from support_tunnel.cli.explanations import explanations
from support_tunnel.cli.flags import as_flags, lists, words
from support_tunnel.cli.output import NOBODY_READS, turn_to_nobody
from support_tunnel.cli.verb_task import OptionalCloudTask, OptionalIdTask, VerbTask
from support_tunnel.core.errors import SupportTunnelError, UsageError

__all__ = ["INTERRUPTED", "boundary", "verb"]

INTERRUPTED = 130


class Ended(KeyboardInterrupt):
    """SIGTERM or a closed terminal: the same orderly way out as Ctrl-C."""


def verb(
    *,
    flags: Mapping[str, str] | None = None,
    positional: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    iterable: tuple[str, ...] = (),
    name: str = "",
    optional_id: bool = False,
    optional_cloud: bool = False,
    asked: type | None = None,
    without: tuple[str, ...] = (),
) -> Callable[[Callable[..., None]], Task[Any]]:
    """Make a task of a function: no accidental positional arguments, errors translated, signals orderly.

    `optional_id`: its first argument is a tunnel's id, which may also stand alone, or be left out; `optional_cloud`: a cloud's name.
    `asked`: a dataclass of `cli.flags`, which the function is given in place of flags one by one; those named in `without` are none of this verb's.
    """

    def wrap(function: Callable[..., None]) -> Task[Any]:
        shared = words(asked, without) if asked else {}
        if asked:
            function = as_flags(asked, without)(function)
        return task(
            name=name or None,
            help={**shared, **(flags or {})},
            positional=list(positional),
            aliases=aliases,
            iterable=[*iterable, *(lists(asked, without) if asked else ())],
            klass=OptionalIdTask if optional_id else OptionalCloudTask if optional_cloud else VerbTask,
            auto_shortflags=False,
        )(boundary(function))

    return wrap


def boundary(function: Callable[..., None]) -> Callable[..., None]:
    """Translate what `function` raises into Invoke's Exit."""

    @functools.wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> None:
        close_own_memory()
        _search_rarely()
        try:
            _translated(function, args, kwargs)
        except BrokenPipeError:
            if not turn_to_nobody():
                _unexpected()
            raise Exit(None, code=NOBODY_READS) from None

    return bounded


def _translated(function: Callable[..., None], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    as_json = bool(kwargs.get("json"))
    try:
        with _signals():
            _refuse_help(kwargs)
            function(*args, **kwargs)
    except SupportTunnelError as error:
        _say(error, as_json=as_json)
        raise Exit(None, code=error.exit_code) from None
    except KeyboardInterrupt:
        if as_json:
            sys.stdout.write(json.dumps({"error": {"code": "interrupted", "message": "interrupted"}}) + "\n")
        sys.stderr.write("Interrupted.\n")
        raise Exit(None, code=INTERRUPTED) from None
    except (Exit, SystemExit, BrokenPipeError):
        raise
    except BaseException:  # noqa: BLE001 - the outermost boundary: nothing above could do better
        _unexpected()


def _search_rarely() -> None:
    """A verb lives for a second, of which Python would search a quarter for cycles of things that are used no more, three times
    over all that is there when the program ends. What it does not find goes with the process."""
    gc.set_threshold(20_000)  # container objects made and not yet gone; Python's own number is 700
    atexit.unregister(gc.freeze)  # a second verb of the same process
    atexit.register(gc.freeze)


def _refuse_help(given: Mapping[str, object]) -> None:
    """Invoke lets a required positional swallow `--help`; the person wanted help, not a task run on it."""
    if any(value in ("--help", "-h") for value in given.values()):
        raise UsageError("usage.help", "help comes before the name of a task", next_step="Put --help before its name.")


def _say(error: SupportTunnelError, *, as_json: bool) -> None:
    message, next_step = as_called(error.message), as_called(error.next_step or _usual_step(error.code))
    if as_json:
        line = {"error": {"code": error.code, "message": message, "next_step": next_step}}
        sys.stdout.write(json.dumps(line) + "\n")
    sys.stderr.write(f"Error ({error.code}): {message}.\n".replace("..\n", ".\n"))
    if next_step:
        sys.stderr.write(f"  -> {next_step}\n")


def _usual_step(code: str) -> str:
    """What an error that names no step of its own says: the page's advice for its code."""
    said = explanations().get(code)
    return f"{said.step[0].upper()}{said.step[1:]}." if said else ""


def _unexpected() -> NoReturn:
    """Write the traceback where only this user reads it; tracebacks hold no locals, so no secret either."""
    folder = Path.home() / ".cache" / "support_tunnel"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"debug-{os.getpid()}.txt"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        traceback.print_exc(file=out)
    sys.stderr.write(f"Something unexpected went wrong; details are in {file}.\n")
    raise Exit(None, code=1) from None


@contextmanager
def _signals() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGHUP)

    def end(number: int, frame: FrameType | None) -> None:
        # A closing terminal hangs up twice, and the second one would break off the very clean-up that the first began.
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Ended(number)

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
