"""What libcloud's drivers raise, in one vocabulary.

Every driver fails in its own way (a status code here, text there, a raw `requests` exception elsewhere); the rules below were
measured against nine drivers with a server that answers each status. When in doubt the answer is "unknown", never "gone":
who takes a failure for absence leaves servers running that somebody pays for.
"""

from __future__ import annotations

import re
from typing import Literal

from support_tunnel.core.errors import CloudError, SupportTunnelError

__all__ = ["Kind", "as_cloud_error", "classify"]

Kind = Literal["auth", "gone", "rate", "retry", "quota", "bad-request", "unknown"]

_TEXTS: tuple[tuple[str, Kind], ...] = (
    (r"RequestLimitExceeded|Throttling|rateLimitExceeded|Too Many Requests", "rate"),
    (
        r"(?i)quota|(instance|vcpu|server|droplet)s?[ _-]?limit|limit[ _-]?exceeded|exceeds? (the|your) .{0,40}limit",
        "quota",
    ),
    (r"InvalidInstanceID\.NotFound", "gone"),
    (r"AuthFailure|UnauthorizedOperation|ExpiredToken|RequestExpired", "auth"),
)

_WORDS: dict[Kind, tuple[str, str]] = {
    "auth": ("refused our credentials", "Check the cloud's credentials in the inventory."),
    "gone": ("does not know that server", ""),
    "rate": ("asks us to slow down", "Wait a minute, then run the same command again."),
    "retry": ("did not answer properly", "Run the same command again; `fab sweep` removes what may have been left."),
    "quota": (
        "has no room for another server of this account",
        "Raise its quota in the cloud's own console or end servers there, or name another cloud in the inventory.",
    ),
    "bad-request": ("refused the request", "Check size, image and region of this cloud in the inventory."),
    "unknown": ("failed", "Look at the cloud's own console; `fab sweep` removes what carries our tags."),
}


def classify(error: Exception) -> Kind:
    """Say what kind of failure a driver's exception is."""
    import requests  # part of libcloud; slow to import
    from libcloud.common.exceptions import RateLimitReachedError
    from libcloud.common.types import InvalidCredsError, MalformedResponseError

    if isinstance(error, InvalidCredsError):
        return "auth"
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


def as_cloud_error(cloud: str, error: Exception) -> SupportTunnelError:
    """Put a driver's exception into our words. Its own text stays out: some drivers put the whole request into it."""
    if isinstance(error, SupportTunnelError):
        return error
    kind = classify(error)
    what, next_step = _WORDS[kind]
    return CloudError(f"cloud.{kind}", f"the cloud {cloud} {what} ({type(error).__name__})", next_step=next_step)


def _status(error: Exception) -> int | None:
    for name in ("http_code", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int):
            return value
    return None


def _by_status(status: int) -> Kind:
    if status in (401, 403):
        return "auth"
    if status in (404, 410):
        return "gone"
    if status == 429:
        return "rate"
    if status >= 500:
        return "retry"
    return "bad-request" if status >= 400 else "unknown"
