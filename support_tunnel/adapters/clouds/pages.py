"""A list that a cloud gives in pages is whole or it is no list: a server that falls between two pages would seem gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["Page", "whole"]


class Page(NamedTuple):
    items: Sequence[Any]
    following: Any = None
    """What names the next page to the cloud; None: there is none."""
    total: int | None = None
    """How many items all pages have, where the cloud counts pages: an item that goes moves the others forward."""


def whole(ask: Callable[[Any], Page], first: Any = None) -> list[Any]:
    """All items. `ask` gets what names a page, `first` to begin with.

    Raises MalformedResponseError, which passes by itself, when the list changed meanwhile or does not go on: it is read again.
    """
    from libcloud.common.types import MalformedResponseError

    found: list[Any] = []
    pages: list[Page] = []
    at = first
    while True:
        page = ask(at)
        found += page.items
        pages.append(page)
        if page.following is None:
            break
        if page.following in (at, *(one.following for one in pages[:-1])):
            raise MalformedResponseError("the list goes round in a circle", body="")
        at = page.following
    if len(pages) > 1 and any(page.total not in (None, len(found)) for page in pages):
        raise MalformedResponseError("the list changed while it was read", body="")
    return found
