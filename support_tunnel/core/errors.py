"""One error root; families by what the reader does next, each with an exit code.

    SupportTunnelError           1  failed
    ├── UsageError               2  wrong use or configuration: change the command or the file
    │   └── CodeError            2  the support code itself: look at it again
    ├── ConsentRefused           3  the owner (or their policy) said no
    ├── WrongState               4  this tunnel cannot do that now
    ├── CloudError               5  the cloud refused or failed
    ├── HostError                6  a server or device answered wrongly, or not at all
    ├── CoordinatorError         7  Headscale
    └── MessageError             1  a sealed message does not open or says something it may not

`code` is stable (`msg.auth`, `code.checksum`); tests and programs match it, people read `message`. `next_step` is the next
command or action, in one sentence. Neither may ever hold a secret.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "CloudError",
    "CodeError",
    "ConsentRefused",
    "CoordinatorError",
    "HostError",
    "MessageError",
    "SupportTunnelError",
    "UsageError",
    "WrongState",
]


class SupportTunnelError(Exception):
    """Something the reader can act on; `cli/boundary.py` turns it into one line and an exit code."""

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step


class UsageError(SupportTunnelError):
    exit_code = 2


class CodeError(UsageError):
    """The support code was mistyped, cut or is of another kind; its text never holds 8 characters of it."""


class ConsentRefused(SupportTunnelError):
    exit_code = 3


class WrongState(SupportTunnelError):
    exit_code = 4


class CloudError(SupportTunnelError):
    exit_code = 5


class HostError(SupportTunnelError):
    exit_code = 6


class CoordinatorError(SupportTunnelError):
    exit_code = 7


class MessageError(SupportTunnelError):
    """A sealed message that does not open, or whose contents break a rule of ST1."""
