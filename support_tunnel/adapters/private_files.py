"""Files only this user may write, changed whole or not at all (2.16).

Everything is done relative to an open, checked folder, so a folder swapped under us after the check changes nothing.
Must not write outside the folder it is given: the temporary file of a change lies beside its target, never in /tmp.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from support_tunnel.core.errors import UsageError

__all__ = ["PrivateFolder"]

WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class PrivateFolder:
    """A 0700 folder of 0600 files, owned by this user.

    With `secret=True` a folder or file that others may even read is refused, not only one they may write.
    Every method raises UsageError `file.owner`, `file.mode`, `file.kind`, naming the file and how to repair it.
    """

    def __init__(self, path: Path, *, secret: bool = False) -> None:
        self.path = path
        self._forbidden = OPEN_TO_OTHERS if secret else WRITABLE_BY_OTHERS

    def make(self) -> None:
        """Create the folder (and its parents, 0700) when it is missing; check it when it is there."""
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        for folder in reversed(missing):
            with suppress(FileExistsError):  # another of our processes was faster; the check below decides
                folder.mkdir(mode=0o700)
        with self._opened():
            pass

    def write(self, name: str, data: bytes) -> None:
        """Replace the file `name` by `data` in one step that survives power loss."""
        with self._opened() as folder:
            # One writer at a time, so the temporary name can be fixed and one left by a killed writer is overwritten.
            fcntl.flock(folder, fcntl.LOCK_EX)
            temporary = f".{name}.new"
            _unlink(temporary, folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                _unlink(temporary, folder)
                raise
            os.fsync(folder)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of `name`, or None when there is no such file."""
        with suppress(FileNotFoundError), self._opened() as folder:
            try:
                descriptor = self._plain(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, folder)
            except FileNotFoundError:
                return None
            with os.fdopen(descriptor, "rb") as file:
                self._check(self.path / name, os.fstat(descriptor), stat.S_ISREG, "file")
                return file.read()
        return None

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """Open `name` to be read and written in place, checked as `read` does; new and empty when it is missing."""
        with self._opened() as folder:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(self._plain(name, flags, folder), "r+b") as file:
                self._check(self.path / name, os.fstat(file.fileno()), stat.S_ISREG, "file")
                yield file

    def _plain(self, name: str, flags: int, folder: int) -> int:
        try:
            return os.open(name, flags, 0o600, dir_fd=folder)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _not_plain(self.path / name, "file") from error
            raise

    def names(self) -> list[str]:
        """Names of the finished files, sorted; none when the folder is missing."""
        with suppress(FileNotFoundError), self._opened() as folder:
            return sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
        return []

    def remove(self, name: str) -> None:
        """Unlink `name` for good; missing is fine."""
        with suppress(FileNotFoundError), self._opened() as folder:
            _unlink(name, folder)
            os.fsync(folder)

    def erase_one(self, name: str) -> None:
        """Overwrite and unlink `name`; missing is fine."""
        with suppress(FileNotFoundError), self._opened() as folder:
            _overwrite(name, folder)
            _unlink(name, folder)

    def erase(self) -> None:
        """Overwrite and unlink every file, unfinished ones included, then remove the folder; missing is fine."""
        with suppress(FileNotFoundError):  # a second eraser beside us is fine
            with self._opened() as folder:
                for entry in list(os.scandir(folder)):
                    _overwrite(entry.name, folder)
                    _unlink(entry.name, folder)
            self.path.rmdir()

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock file `name`, which is there only while held. Raises BlockingIOError while another holds it.

        The kernel lets go when a process dies, however it dies; its file is then taken over by the next holder.
        """
        with self._opened() as folder:
            while True:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(name, flags, 0o600, dir_fd=folder)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if not _is_still(descriptor, name, folder):
                        continue  # its holder removed it between our open and our lock: that lock guards nothing
                    try:
                        yield
                    finally:
                        _unlink(name, folder)
                    return
                finally:
                    os.close(descriptor)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the folder itself, waiting while another process does; `write` waits for it too.

        Raises FileNotFoundError when it is not there, or has gone (`remove_when_empty`) while this waited for it.
        """
        with self._opened() as folder:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if not os.path.samestat(os.fstat(folder), self.path.stat()):
                raise FileNotFoundError(self.path)
            yield

    def remove_when_empty(self) -> None:
        """Remove the folder if nothing is in it and nobody has, or waits for, a turn with it."""
        with suppress(OSError), self._opened() as folder:  # OSError: gone, not empty, or in somebody's hands
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path.rmdir()

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Yield a descriptor of the folder, checked after it was opened."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                raise _not_plain(self.path, "folder") from error
            raise
        try:
            self._check(self.path, os.fstat(descriptor), stat.S_ISDIR, "folder")
            yield descriptor
        finally:
            os.close(descriptor)

    def _check(self, path: Path, found: os.stat_result, is_kind: Callable[[int], bool], kind: str) -> None:
        quoted = shlex.quote(str(path))
        if not is_kind(found.st_mode):
            raise _not_plain(path, kind)
        if found.st_uid != os.geteuid():
            raise UsageError(
                "file.owner",
                f"{path} belongs to another user (uid {found.st_uid})",
                next_step=f"Look at who made it, then: chown {os.geteuid()} {quoted}",
            )
        if found.st_mode & self._forbidden:
            what = "read or change" if self._forbidden == OPEN_TO_OTHERS else "change"
            raise UsageError(
                "file.mode",
                f"other users may {what} {path}",
                next_step=f"Check that its contents are yours, then: chmod go-rwx {quoted}",
            )


def _not_plain(path: Path, kind: str) -> UsageError:
    return UsageError(
        "file.kind",
        f"{path} is not a plain {kind} (a symbolic link, perhaps)",
        next_step=f"Look at it and move it away: mv {shlex.quote(str(path))} {shlex.quote(str(path) + '.aside')}",
    )


def _is_still(descriptor: int, name: str, folder: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _overwrite(name: str, folder: int) -> None:
    """Put zeros over a plain file; anything else (a socket of ssh, a link) holds no bytes of ours."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        return
    with os.fdopen(os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "wb") as file:
        file.write(bytes(found.st_size))
        file.flush()
        os.fsync(file.fileno())


def _unlink(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
