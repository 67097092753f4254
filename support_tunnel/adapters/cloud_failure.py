"""What libcloud's drivers raise, in one vocabulary.

Every driver fails in its own way (a status code here, text there, a raw `requests` exception elsewhere); the rules below were
measured against nine drivers with a server that answers each status. When in doubt the answer is "unknown", never "gone":
who takes a failure for absence leaves servers running that somebody pays for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from support_tunnel.core.errors import CloudError, SupportTunnelError

__all__ = ["Kind", "as_cloud_error", "classify", "tail"]

Kind = Literal["auth", "forbidden", "gone", "rate", "retry", "quota", "in-use", "taken", "bad-request", "unknown"]

_TEXTS: tuple[tuple[str, Kind], ...] = (
    (r"RequestLimitExceeded|Throttling|rateLimitExceeded|Too Many Requests", "rate"),
    (
        r"(?i)quota|(instance|vcpu|server|droplet)s?[ _-]?limit|limit[ _-]?exceeded|exceeds? (the|your) .{0,40}limit"
        r"|RESOURCE_POOL_EXHAUSTED|account limit|maximum .{0,30}limit",
        "quota",
    ),
    (r"Invalid(InstanceID|Group|Snapshot)\.NotFound|InvalidInstanceID\.Malformed", "gone"),
    (r"DependencyViolation|InvalidGroup\.InUse|resource_in_use|resourceInUse|(?i:in use)", "in-use"),
    (r"uniqueness_error|InvalidGroup\.Duplicate|(?i:already ?exists)", "taken"),
    (r"AuthFailure|ExpiredToken|RequestExpired", "auth"),
    (r"UnauthorizedOperation", "forbidden"),
)

_KNOWN_BUT_REFUSED = r"(?i)not authorized to use|^unauthorized$"

_WORDS: dict[Kind, tuple[str, str]] = {
    "auth": ("refused our credentials", "Check the cloud's credentials in the inventory."),
    "forbidden": (
        "knows our credentials but does not let them do that",
        "Run `fab doctor --cloud NAME`: it says which right they lack.",
    ),
    "gone": (
        "does not know what it was asked for",
        "Check region, image and project in the inventory: `fab doctor --cloud NAME` does.",
    ),
    "rate": ("asks us to slow down", "Wait a minute, then run the same command again."),
    "retry": ("did not answer properly", "Run the same command again; `fab sweep` removes what may have been left."),
    "quota": (
        "has no room for another server of this account",
        "Raise its quota in the cloud's own console or end servers there, or name another cloud in the inventory.",
    ),
    "taken": ("has something of that name already", "Run `fab sweep`, then the same command again."),
    "in-use": ("still uses what should go", "Wait a minute, then run `fab sweep`."),
    "bad-request": (
        "refused the request",
        "Check size, image and region in the inventory: `fab doctor --cloud NAME` does.",
    ),
    "unknown": ("failed", "Look at the cloud's own console; `fab sweep` removes what carries our tags."),
}

_REQUEST = (
    r"(?i)\b(GET|POST|PUT|DELETE|PATCH) +[/h]|Action=|authorization|bearer |user_?-?data|#cloud-config|PRIVATE KEY"
)
_LINES = 6
"""Of a console, as many as stand on a person's screen beside an error."""
_LONGEST_WORD = 60
_LONGEST_SAID = 240


def classify(error: Exception) -> Kind:
    """Say what kind of failure a driver's exception is."""
    import requests  # part of libcloud; slow to import
    from libcloud.common.exceptions import RateLimitReachedError
    from libcloud.common.types import InvalidCredsError, MalformedResponseError

    if isinstance(error, InvalidCredsError):
        return (
            "forbidden" if re.search(_KNOWN_BUT_REFUSED, str(error)) else "auth"
        )  # Linode's driver raises it for both
    if isinstance(error, RateLimitReachedError):
        return "rate"
    for pattern, kind in _TEXTS:
        if re.search(pattern, str(error)):
            return kind
    status = _status(error)
    if status is not None:
        return _by_status(status)
    broken = (requests.Timeout, requests.ConnectionError, TimeoutError, ConnectionError, MalformedResponseError)
    return "retry" if isinstance(error, broken) else "unknown"


def as_cloud_error(cloud: str, error: Exception, *, hidden: Sequence[str] = ()) -> SupportTunnelError:
    """Put a driver's exception into our words, and where the cloud refused something, its own message behind them.

    Some drivers put the whole request into an exception. So nothing of `hidden` is told, no word longer than a person's, and
    nothing at all where the text looks like a request.
    """
    if isinstance(error, SupportTunnelError):
        return error
    kind = classify(error)
    what, next_step = _WORDS[kind]
    said = _said(error, hidden) if kind in ("auth", "forbidden", "gone", "quota", "bad-request") else ""
    why = f"({type(error).__name__})" if not said else f"and says: {said}"
    return CloudError(f"cloud.{kind}", f"the cloud {cloud} {what} {why}", next_step=next_step.replace("NAME", cloud))


def tail(text: str) -> list[str]:
    """The last lines of a server's console, as short and printable as a provider's message; what looks like a key is left out."""
    kept = [_plain(line) for line in text.splitlines() if not re.search(_REQUEST, line)]
    return [line for line in kept if line][-_LINES:]


def _said(error: Exception, hidden: Sequence[str]) -> str:
    """The provider's message; empty when there is none that may be shown."""
    text = next((value for name in ("message", "value") if (value := getattr(error, name, None))), "")
    if isinstance(text, dict):
        text = text.get("message", "")
    if not isinstance(text, str) or re.search(_REQUEST, text) or any(one and one in text for one in hidden):
        return ""
    return _plain(text).rstrip(". ")


def _plain(text: str) -> str:
    """One line of printable characters, no word longer than a person's."""
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    return " ".join("..." if len(word) > _LONGEST_WORD else word for word in words)[:_LONGEST_SAID]


def _status(error: Exception) -> int | None:
    for name in ("http_code", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int):
            return value
    # Linode's driver has no type for it, only text.
    said = re.search(r"Status code: (\d{3})\.", str(error))
    return int(said[1]) if said else None


def _by_status(status: int) -> Kind:
    if status in (401, 403):
        return "auth" if status == 401 else "forbidden"
    if status in (404, 410):
        return "gone"
    if status == 429:
        return "rate"
    if status >= 500:
        return "retry"
    return "bad-request" if status >= 400 else "unknown"
