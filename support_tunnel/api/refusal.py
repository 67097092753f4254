"""The API's own "no", as a value: status, stable code, one sentence. It never repeats anything the caller sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Refusal", "bad_token", "unknown_tunnel"]


@dataclass(slots=True, eq=False)
class Refusal(Exception):
    """Becomes `{"code": ..., "message": ...}` with `details` beside them."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, str]:
        return {**self.details, "code": self.code, "message": self.message}


def bad_token() -> Refusal:
    """One text for missing, wrong, revoked, expired and foreign tokens: the difference is nobody's business."""
    return Refusal(401, "api.token", "no valid token", headers={"WWW-Authenticate": "Bearer"})


def unknown_tunnel() -> Refusal:
    """Also the answer to whoever lacks the claim, so that a token alone cannot tell which ids exist (2.17)."""
    return Refusal(404, "tunnel.unknown", "there is no such tunnel")
