"""What the OpenAPI document says beyond the models: who may call, and every refusal that a caller may get.

Only words; nothing here decides anything. A test holds a running server to this document (tests/api/test_openapi.py).
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from support_tunnel.api.models import Problem

__all__ = ["ADMIN", "DEVICE_OR_ADMIN", "add_security", "problems"]

WORDS: Final = {
    400: "The body is no text that can be read.",
    401: "No valid token; missing, wrong, revoked and foreign ones all look alike.",
    403: "The token lacks the right.",
    404: "No such tunnel, or none for these credentials; the two look alike.",
    408: "The body did not arrive in time.",
    409: "The tunnel is not in a state for this; `code` says which.",
    411: "A body needs a Content-Length.",
    413: "Too long: a message has at most 16 KiB, a request 24 KiB.",
    422: "The request is not of the documented form.",
    429: "Too many requests from this address; `Retry-After` says when to come back.",
    503: "The store cannot be reached now.",
    507: "The store is full; reads go on.",
}
ALWAYS: Final = (422, 429, 503)
WRITES: Final = (400, 408, 411, 413, 507)

_CLAIM: Final = {
    "name": "Support-Tunnel-Claim",
    "in": "header",
    "required": False,
    "description": "An admin's second half: the claim that the support code yields, in base64.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$"},
}
ADMIN: Final[dict[str, Any]] = {"security": [{"token": []}]}
DEVICE_OR_ADMIN: Final[dict[str, Any]] = {"security": [{"token": []}], "parameters": [_CLAIM]}


def problems(*statuses: int, writes: bool = False) -> dict[int | str, dict[str, Any]]:
    """Document refusals of a route, besides those that every route has."""
    wanted = {*statuses, *ALWAYS, *(WRITES if writes else ())}
    return {status: {"model": Problem, "description": WORDS[status]} for status in sorted(wanted)}


def add_security(app: FastAPI) -> None:
    """Name the kind of token that the routes' extras speak of."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document.setdefault("components", {})["securitySchemes"] = {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The device's own token of this tunnel, or an admin's (`fab api.token.create`).",
            }
        }
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI documents for extending the document
