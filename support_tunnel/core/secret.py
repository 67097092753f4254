"""A secret is a type: its value leaves only through `reveal()`, so every place that does can be found by name."""

from __future__ import annotations

import hmac
from typing import Generic, NoReturn, TypeVar

__all__ = ["Secret"]

T = TypeVar("T", str, bytes)


class Secret(Generic[T]):
    """Hold a `str` or `bytes` that must not reach logs, argv, environment or a pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value: T = value

    def reveal(self) -> T:
        """Return the value; the caller hands it to stdin, a 0600 file on tmpfs or a cipher, never further."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_octets(self._value), _octets(other._value))

    __hash__ = None  # type: ignore[assignment]  # not a key of anything: hashing would leak equality in time

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


def _octets(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
