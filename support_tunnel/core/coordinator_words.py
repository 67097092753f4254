"""What a Headscale takes as names, tags and times, judged here because its API takes more than its policy can name afterwards.

Used by the client and by the shipped fake, so that both refuse the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from support_tunnel.core.errors import UsageError

__all__ = ["LONGEST_LIFETIME", "check_id", "check_key_wish", "check_lifetime", "check_tags", "check_user_name"]

LONGEST_LIFETIME = 366 * 24 * 3600
"""Seconds; a key that lives longer was a wrong number."""

_USER = re.compile(r"[A-Za-z][A-Za-z0-9._-]{1,62}")
"""Stricter than Headscale (hscontrol/util/dns.go, ValidateUsername), whose API does not even apply its own rule."""
_TAG = re.compile(r"tag:[a-z][a-z0-9-]{0,62}")
_ID = re.compile(r"[1-9][0-9]{0,19}")


def check_user_name(name: str) -> None:
    """Raises UsageError `headscale.name`."""
    if not _USER.fullmatch(name):
        raise UsageError(
            "headscale.name",
            "a user's name on Headscale is 2 to 63 letters, digits, dots, dashes and underscores, a letter first",
        )


def check_tags(tags: Sequence[str]) -> None:
    """Raises UsageError `headscale.tag`; at least one is needed."""
    if not tags or not all(_TAG.fullmatch(tag) for tag in tags):
        raise UsageError("headscale.tag", "a tag is `tag:` and small letters, digits and dashes, a letter first")


def check_lifetime(seconds: int) -> None:
    """Raises UsageError `headscale.lifetime`."""
    if not 1 <= seconds <= LONGEST_LIFETIME:
        raise UsageError("headscale.lifetime", "a key lives between a second and a year", next_step="Name its seconds.")


def check_key_wish(lifetime: int, user: str | None, tags: Sequence[str]) -> None:
    """Judge a pre-auth key that is asked for. With both owners Headscale would make a key whose user is lost at the join."""
    check_lifetime(lifetime)
    if (user is None) == (not tags):
        raise UsageError("headscale.owner", "a key belongs to a user or to tags, and to one of them only")
    if user is not None:
        check_id(user)
    if tags:
        check_tags(tags)


def check_id(text: str) -> None:
    """Raises UsageError `headscale.id`: an id becomes part of a URL, and a name there would be another thing."""
    if not _ID.fullmatch(text):
        raise UsageError("headscale.id", "an id on Headscale is a number, as its lists show it")
