"""Releases are ordered as pip orders them, whose own `packaging` is the judge; what is no version is refused."""

from __future__ import annotations

import itertools

import pytest
from packaging.version import Version

from support_tunnel.core.errors import UsageError
from support_tunnel.core.release_version import is_older

RELEASES = ("0", "0.1.0", "0.2", "0.2.0", "0.10", "1.0", "1.0.1", "1.1", "1.1.0.1", "10")
KINDS = (
    "",
    "a0",
    "a10",
    "b2",
    "rc1",
    "rc2",
    ".post0",
    ".post1",
    ".dev0",
    ".dev3",
    "rc1.dev1",
    "a1.post1",
    ".post1.dev2",
)


def test_any_two_are_ordered_as_pip_orders_them() -> None:
    versions = [release + kind for release in RELEASES for kind in KINDS]
    wrong = [
        (one, other)
        for one, other in itertools.product(versions, repeat=2)
        if is_older(one, other) != (Version(one) < Version(other))
    ]
    assert wrong == []


def test_a_candidate_is_newer_than_the_release_before_it() -> None:
    assert not is_older("1.1rc1", "1.0")
    assert not is_older("0.2", "0.2.0")
    assert not is_older("0.2.0", "0.2")


def test_a_build_of_the_same_version_is_neither() -> None:
    assert not is_older("1.0+vendor.2", "1.0")
    assert not is_older("1.0", "1.0+vendor.2")


@pytest.mark.parametrize("version", ["", "1!2.0", "1.0-1", "1.0.RC1", "v1", "1..0", "1.0rc", "1.0+", "1.0\n", "١.0"])
def test_what_it_does_not_understand_is_refused(version: str) -> None:
    for pair in ((version, "1.0"), ("1.0", version)):
        with pytest.raises(UsageError) as refused:
            is_older(*pair)
        assert refused.value.code == "upgrade.version"
