"""The one door to other programs: argument lists only, never a shell, output captured, a deadline always.

Nothing secret may be an argument or an environment variable (both are public on the machine): it goes in by `stdin`.
"""

from __future__ import annotations

import os
import subprocess  # noqa: TID251 - this is the module the ban points to
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support_tunnel.core.errors import HostError
from support_tunnel.core.ports import Completed

__all__ = ["Streaming", "agent", "environment", "interactive", "launch", "run", "streaming"]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of every child: English messages that can be matched, sbin on the path, none of the caller's settings."""
    inherited = {name: os.environ[name] for name in ("HOME", "USER", "TERM", "TMPDIR") if name in os.environ}
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {**inherited, "PATH": f"{path}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", **(extra or {})}


def agent() -> dict[str, str]:
    """The caller's ssh-agent, as `env` of a program that the caller's own settings name: it signs, or reaches who signs."""
    return {name: os.environ[name] for name in ("SSH_AUTH_SOCK",) if name in os.environ}


def run(
    argv: Sequence[str | Path],
    *,
    stdin: bytes = b"",
    timeout: float = 30,
    accept: Collection[int] | None = (0,),
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run a program to its end. `accept` lists the good exit statuses; None takes any.

    Raises HostError `process.missing`, `process.timeout` (the program is killed) or `process.failed`.
    """
    command = [str(word) for word in argv]
    program = Path(command[0]).name
    try:
        ended = subprocess.run(
            command, input=stdin, capture_output=True, timeout=timeout, check=False, env=environment(env)
        )
    except FileNotFoundError:
        raise HostError("process.missing", f"the program {program} is not installed") from None
    except subprocess.TimeoutExpired:
        raise HostError("process.timeout", f"{program} did not end within {timeout:g} seconds") from None
    completed = Completed(
        status=ended.returncode,
        stdout=ended.stdout.decode(errors="replace"),
        stderr=ended.stderr.decode(errors="replace"),
    )
    if accept is not None and completed.status not in accept:
        lines = (completed.stderr.strip() or completed.stdout.strip() or f"exit status {completed.status}").splitlines()
        raise HostError("process.failed", f"{program}: {lines[-1]}")
    return completed


def interactive(argv: Sequence[str | Path]) -> int:
    """Give our own terminal (or pipes) to a program until it ends, however long that takes; return its exit status.

    Raises HostError `process.missing`. A program ended by a signal counts as 128 plus its number, as in a shell.
    """
    command = [str(word) for word in argv]
    try:
        status = subprocess.run(command, check=False, env=environment()).returncode
    except FileNotFoundError:
        raise HostError("process.missing", f"the program {Path(command[0]).name} is not installed") from None
    return status if status >= 0 else 128 - status


def launch(argv: Sequence[str | Path], *, output: Path, env: Mapping[str, str] | None = None) -> None:
    """Run a program that leaves another one running (`setsid --fork ...`), its output appended to the file `output` (0600).

    What it leaves is no child of ours: no zombie waits for a caller that may be long gone.
    """
    program = Path(argv[0]).name
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        subprocess.run(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            check=True,
            timeout=10,
            env=environment(env),
        )
    except FileNotFoundError:
        raise HostError("process.missing", f"the program {program} is not installed") from None
    except subprocess.SubprocessError:
        raise HostError("process.failed", f"{program} could not be started; its words are in {output}") from None
    finally:
        os.close(descriptor)


class Streaming:
    """A program whose stdout is read line by line while it runs; its stderr is kept for afterwards."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def line(self) -> str:
        """The next line of stdout without its end; empty once the program has closed it."""
        if self._process.stdout is None:
            return ""
        return self._process.stdout.readline().rstrip("\n")

    def end(self, *, timeout: float) -> Completed:
        """Wait for its end; what was not read yet is in the result. Raises HostError `process.timeout`."""
        try:
            stdout, stderr = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise HostError("process.timeout", f"a program did not end within {timeout:g} seconds") from None
        return Completed(self._process.returncode, stdout, stderr)


@contextmanager
def streaming(argv: Sequence[str | Path]) -> Iterator[Streaming]:
    """Start a program for the time of the `with`; it is killed if it still runs at its end."""
    with subprocess.Popen(
        [str(word) for word in argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment(),
    ) as process:
        try:
            yield Streaming(process)
        finally:
            process.kill()
