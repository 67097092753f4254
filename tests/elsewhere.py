"""Run `fab` as if on another system: `python -m tests.elsewhere darwin EMPTY_FOLDER list --json`. For tests only.

We have no Mac. What can be shown here: no name that only Linux's Python has is touched, and no folder that only Linux has is
needed (/proc, /run and /dev/shm are covered by an empty one). What can't: macOS itself, its ssh, its file system.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import select
import signal
import socket
import sys
import time

LINUX_ONLY = {
    "os": "setns unshare memfd_create pidfd_open sched_getaffinity sched_setaffinity getxattr setxattr listxattr "
    "removexattr splice eventfd timerfd_create copy_file_range getrandom posix_fadvise posix_fallocate fdatasync pipe2 "
    "getresuid getresgid setresuid setresgid O_PATH O_TMPFILE O_DIRECT O_NOATIME",
    "select": "epoll EPOLLIN",
    "signal": "SIGRTMIN SIGRTMAX SIGPWR SIGSTKFLT SIGPOLL sigtimedwait sigwaitinfo pidfd_send_signal",
    "socket": "AF_NETLINK AF_PACKET AF_VSOCK AF_ALG SO_BINDTODEVICE SO_PEERCRED SO_DOMAIN SO_PROTOCOL SO_MARK "
    "TCP_USER_TIMEOUT IP_BIND_ADDRESS_NO_PORT SOCK_CLOEXEC SOCK_NONBLOCK",
    "time": "CLOCK_BOOTTIME CLOCK_TAI",
}
"""By module of the standard library, what typeshed knows for Linux and not for darwin (of what anybody would use)."""
COVERED = ("/proc", "/run", "/dev/shm")  # noqa: S108 - names to look for and to cover
BEFORE = "asyncio http.client mimetypes multiprocessing platform selectors shutil sqlite3 ssl subprocess tempfile urllib.request uuid"
"""Modules that choose their own code by the platform when they are imported: those stay Linux's."""
MS_BIND = 4096


def cover(empty: str) -> None:
    """In a mount namespace of our own (the caller runs us under `unshare --mount`)."""
    libc = ctypes.CDLL(None, use_errno=True)
    for folder in COVERED:
        if libc.mount(empty.encode(), folder.encode(), None, MS_BIND, None):
            raise OSError(ctypes.get_errno(), f"cannot cover {folder}")


def pretend(platform: str) -> None:
    for name in BEFORE.split():
        importlib.import_module(name)
    if platform == "linux":
        return
    for name, words in LINUX_ONLY.items():
        for word in words.split():
            vars({"os": os, "select": select, "signal": signal, "socket": socket, "time": time}[name]).pop(word, None)
    sys.platform = platform


def run(*argv: str) -> int:
    """Run command lines one after the other, `;` between them; the last one's status counts."""
    from fabric.main import program

    status = 0
    for words in " \n".join(argv).split(" \n; \n"):
        sys.argv = ["fab", *words.split(" \n")]
        try:
            program.run()
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status


if __name__ == "__main__":
    cover(sys.argv[2])
    pretend(sys.argv[1])
    sys.exit(run(*sys.argv[3:]))
