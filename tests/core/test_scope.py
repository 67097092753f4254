"""Scopes as a partial order (property P9)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core.errors import UsageError
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1 import fields

SCOPES = st.builds(
    Scope,
    st.sampled_from(["view", "shell", "root"]),
    st.lists(st.integers(20, 24), max_size=4).map(tuple),
    st.booleans(),
)


@given(SCOPES, SCOPES, SCOPES)
def test_p9_partial_order(a: Scope, b: Scope, c: Scope) -> None:
    assert a.within(a)
    assert not (a.within(b) and b.within(a)) or a == b
    assert not (a.within(b) and b.within(c)) or a.within(c)


@given(SCOPES, SCOPES)
def test_p9_within_means_no_right_more(granted: Scope, offered: Scope) -> None:
    def rights(scope: Scope) -> set[object]:
        levels = ["view", "shell", "root"]
        return {*levels[: levels.index(scope.level) + 1], *scope.ports, *(["files"] if scope.files else [])}

    assert granted.within(offered) == (rights(granted) <= rights(offered))


@given(SCOPES)
def test_dict_form_is_read_back(scope: Scope) -> None:
    assert fields.scope(scope.to_dict(), "scope") == scope


@pytest.mark.parametrize(
    "arguments",
    [("admin",), ("shell", (0,)), ("shell", (65536,)), ("shell", (True,)), ("shell", ("22",)), ("shell", tuple(range(1, 18))), ("view", (), 1)],
)  # fmt: skip
def test_scopes_that_cannot_be(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(UsageError):
        Scope(*arguments)


def test_words_for_the_owner() -> None:
    words = Scope("root", (5432, 80), files=True).words()
    assert "root" in words
    assert "80, 5432" in words
    assert "copy files" in words
