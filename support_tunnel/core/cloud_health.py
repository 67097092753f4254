"""Judge whether a cloud would launch a tunnel server, from facts that were read there; `admin_health` for this machine's side.

Pure. Nothing is called fine that was not seen to be: what a cloud does not tell is `unknown`, and says where a person can look.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches

from support_tunnel.core.device_health import CLOCK_FAIL, CLOCK_WARN, Check, failure
from support_tunnel.core.errors import SupportTunnelError

__all__ = [
    "Room", "judge_cloud_clock", "judge_offered", "judge_refusal", "judge_right", "judge_room", "judge_there", "judge_user_data",
    "not_known",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Room:
    """One limit of an account, in the cloud's own word and unit; `most` below zero is no limit."""

    what: str
    used: float
    most: float
    needs: float = 1
    """What one more server takes of it."""


def not_known(name: str, why: str, fix: str) -> Check:
    return Check(name, "unknown", f"not known: {why}", fix)


def judge_refusal(error: SupportTunnelError) -> Check:
    """What the first request failed with. To be told that one may not do it is to be known."""
    if error.code == "cloud.forbidden":
        return Check("credentials", "ok", "the cloud knows them")
    if "expire" in error.message.lower():
        return Check(
            "credentials", "fail", error.message, "They have expired: make new ones, and put them where the inventory says."
        )  # fmt: skip
    if error.code == "cloud.unknown-name":
        return failure("region", error)
    if error.code.startswith("config."):
        return failure("settings", error)
    of_credentials = error.code == "cloud.auth" or error.code.startswith("secret.")
    return failure("credentials" if of_credentials else "answer", error)


def judge_offered(kind: str, wanted: str, offered: Iterable[str], where: str = "") -> Check:
    """`kind` is the setting that names it; `where` it is offered, for people."""
    known = sorted(set(offered))
    near = get_close_matches(wanted, known, n=3) or known[:3]
    return judge_there(kind, wanted, wanted in known, where, near)


def judge_there(kind: str, wanted: str, there: bool, where: str = "", near: Collection[str] = ()) -> Check:
    place = f" {where}" if where else ""
    if there:
        return Check(kind, "ok", f"there is {wanted}{place}")
    such = f", such as {', '.join(near)}" if near else ""
    fix = f"Put one that the cloud has{place} into `{kind}` of this cloud in the inventory{such}."
    return Check(kind, "fail", f"the cloud has no {kind} {wanted}{place}", fix)


def judge_room(rooms: Iterable[Room]) -> Check:
    """Whether one more server fits into every limit."""
    limits = [room for room in rooms if room.most >= 0]
    if not limits:
        return not_known(
            "quota", "the cloud names no limit", "Look at the account's limits in the cloud's own console."
        )
    full = [room for room in limits if room.used + room.needs > room.most]
    if full:
        fix = "End servers there, or have this limit raised in the cloud's own console."
        return Check("quota", "fail", f"no room for another server: {', '.join(map(_told, full))}", fix)
    least = min(limits, key=lambda room: room.most - room.used - room.needs)
    return Check("quota", "ok", f"room for another server ({_told(least)})")


def _told(room: Room) -> str:
    return f"{room.what} {room.used:g} of {room.most:g} used"


def judge_right(right: str, held: bool | None, why: str = "") -> Check:
    """`held` is None where the cloud does not say; `why` then says why."""
    name = f"permission {right}"
    if held is None:
        return not_known(name, why, "Look whether these credentials have it, in the cloud's own console.")
    if held:
        return Check(name, "ok", "these credentials have it")
    fix = f"Give these credentials {right}; docs/clouds has a page for each cloud that says how."
    return Check(name, "fail", "these credentials lack it", fix)


def judge_cloud_clock(offset: timedelta) -> Check:
    """`offset`: the cloud's clock minus ours. Clouds refuse what was signed minutes ago, and servers end by their own clock."""
    apart, seconds = abs(offset), offset.total_seconds()
    if apart <= CLOCK_WARN:
        return Check("clock", "ok", f"{seconds:+.0f} s from the cloud's")
    said = f"the cloud's clock is {seconds:+.0f} s from ours"
    fix = "Set this machine's clock: timedatectl set-ntp true"
    return Check("clock", "fail" if apart > CLOCK_FAIL else "warn", said, fix)


def judge_user_data(size: int, limit: int) -> Check:
    """Both in bytes; a `limit` of 0 is none."""
    if not limit:
        return Check("user-data", "ok", f"{size} bytes, and this cloud has no limit")
    if size <= limit:
        return Check("user-data", "ok", f"{size} of {limit} bytes")
    return Check("user-data", "fail", f"{size} bytes, and the cloud takes {limit}", "Report it: this is ours to mend.")
