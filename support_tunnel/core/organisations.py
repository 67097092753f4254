"""The two lists that root keeps on a device: which organisations may vouch for helpers, and which keys never count again.

Read whole or not at all: a line that is not understood refuses the file, because one left out would either shut a helper
out or, in the second list, let one in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import UsageError
from support_tunnel.core.st1.signer import Organisation

__all__ = ["parse_organisations", "parse_principal", "parse_revoked"]

_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_PRINCIPAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,63}")


def parse_organisations(text: str, *, where: str) -> tuple[Organisation, ...]:
    """One CA key a line as `ssh-keygen -C "Example Ltd"` writes it: `ssh-ed25519 BASE64 NAME`. Two lines of one name: a rotation.

    Raises UsageError `trust.*` naming `where` and the line. An empty list is refused too: it would mean "anybody with the code".
    """
    names: dict[str, str] = {}
    for place, line in _lines(text, where):
        words = line.split(maxsplit=2)
        key, name = " ".join(words[:2]), " ".join(words[2:]).strip()
        try:
            ssh_key.parse_public(key)
        except UsageError:
            raise UsageError(
                "trust.key",
                f"{place}: this is not the public half of an Ed25519 key",
                next_step='Each line is `ssh-ed25519 BASE64 NAME`, as ssh-keygen -t ed25519 -C "NAME" writes it.',
            ) from None
        if key in names:
            raise UsageError("trust.twice", f"{place}: this key stands in the file twice", next_step="Delete one line.")
        try:
            Organisation(name, (key,))
        except UsageError as wrong:
            raise UsageError(
                wrong.code,
                f"{place}: {wrong.message}",
                next_step="The name behind the key is what owners read as `verified`.",
            ) from None
        names[key] = name
    if not names:
        raise UsageError("trust.empty", f"{where} names no organisation", next_step="Put a CA's public key into it.")
    return tuple(
        Organisation(name, tuple(key for key, whose in names.items() if whose == name))
        for name in dict.fromkeys(names.values())
    )


def parse_revoked(text: str, *, where: str) -> frozenset[str]:
    """One fingerprint a line as `ssh-keygen -l` prints it, or the public key itself. Raises UsageError `trust.revoked`."""
    return frozenset(_fingerprint(line, place) for place, line in _lines(text, where))


def _fingerprint(line: str, place: str) -> str:
    words = line.split()
    if words[0].isdigit():  # `ssh-keygen -l` begins with the length
        words = words[1:]
    if words and _FINGERPRINT.fullmatch(words[0]):
        return words[0]
    with suppress(UsageError):
        return ssh_key.fingerprint(" ".join(words[:2]))
    raise UsageError(
        "trust.revoked",
        f"{place}: this is neither the fingerprint of a key (SHA256:...) nor an Ed25519 key",
        next_step="Copy the line that ssh-keygen -l -f KEY.pub prints.",
    )


def parse_principal(text: str, *, where: str) -> str:
    """The name that a helper's certificate has to carry. Raises UsageError `trust.principal`."""
    if not _PRINCIPAL.fullmatch(text):
        raise UsageError("trust.principal", f"{where} is one word of letters, digits and ._@:+- (at most 64)")
    return text


def _lines(text: str, where: str) -> Iterator[tuple[str, str]]:
    """Each line that says something, with its place; `#` begins a remark where a line begins."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{where}, line {number}", line.strip()
