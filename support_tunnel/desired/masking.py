"""What may be shown. Knows the values that may not, in the spellings they take in configuration files and shell words."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from support_tunnel.core.secret import Secret

__all__ = ["HIDDEN", "Mask", "revealed", "secrets_in"]

HIDDEN = "***"


@dataclass(frozen=True, slots=True, repr=False)
class Mask:
    """Replaces every known secret in a text."""

    values: tuple[str, ...] = ()

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Mask:
        spellings: set[str] = set()
        for secret in secrets:
            for text in {secret, secret.strip(), *secret.splitlines()}:
                encoded = base64.b64encode(text.encode()).decode()
                spellings |= {text, shlex.quote(text), repr(text)[1:-1], encoded}
        # Longest first, or the tail of a secret that contains another would stay readable.
        return cls(tuple(sorted((text for text in spellings if text.strip()), key=len, reverse=True)))

    def __call__(self, text: str) -> str:
        for value in self.values:
            text = text.replace(value, HIDDEN)
        return text


def revealed(secret: Secret[str] | Secret[bytes]) -> str:
    """Return a secret's text for rendering; the script it goes into is a Secret again."""
    value = secret.reveal()
    return value.decode() if isinstance(value, bytes) else value


def secrets_in(value: Any) -> list[str]:
    """List the secrets anywhere inside a variable."""
    if isinstance(value, Secret):
        return [revealed(value)]
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in secrets_in(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in secrets_in(item)]
    return []
