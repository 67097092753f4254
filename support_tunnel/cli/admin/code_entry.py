"""Take the owner's code from where the admin says it is; at a prompt, name the mistake and ask again.

Nothing but a person is asked twice: a program that handed over a wrong code has to hear of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from support_tunnel.cli.secret_source import is_source, read_secret
from support_tunnel.core.errors import CodeError, UsageError
from support_tunnel.core.ports import SecretPrompt
from support_tunnel.core.st1.code import LONGEST_TEXT, Code

__all__ = ["owners_code"]

_TRIES = 3


def owners_code(given: str, *, refuse_argv: bool, prompt: SecretPrompt) -> Code:
    """The code that `given` names (2.17). Raises CodeError, and UsageError `code.argv` or `secret.source`."""
    if not given:
        return _asked(prompt)
    if given == "-":
        return Code.parse(_first_code(iter(lambda: sys.stdin.buffer.readline(LONGEST_TEXT + 1), b"")))
    if is_source(given):
        return Code.parse(read_secret(given, "the code").reveal())
    if refuse_argv:
        raise UsageError(
            "code.argv",
            "a code on the command line is seen by others on this machine, and your inventory refuses it",
            next_step="Leave -p out to be asked, or give -p - and the code on stdin.",
        )
    sys.stderr.write(
        "Note: others on this machine can see a code on the command line; without -p you are asked, -p - reads stdin.\n"
    )
    return Code.parse(given)


def _asked(prompt: SecretPrompt) -> Code:
    question = "The owner's code, or its 13 words (not shown): "
    for left in range(_TRIES - 1, 0, -1):
        try:
            return Code.parse(prompt.ask_secret(question, wants_more=Code.wants_more).reveal())
        except CodeError as error:
            prompt.show(f"{error.message[0].upper()}{error.message[1:]}. {error.next_step}")
            question = f"Once more ({left} {'tries' if left > 1 else 'try'} left): "
    return Code.parse(prompt.ask_secret(question, wants_more=Code.wants_more).reveal())


def _first_code(lines: Iterable[bytes]) -> str:
    """As many lines as the code has: whoever writes to a pipe need not close it."""
    text = ""
    for line in lines:
        text += line.decode(errors="replace")
        if len(text) > LONGEST_TEXT or (text.strip() and not Code.wants_more(text)):
            break
    return text
