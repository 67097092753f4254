"""The wire: strict models, nothing extra, canonical base64. They check shape only; what a blob says is sealed from us."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from support_tunnel.api.settings import LONGEST_TTL

__all__ = ["Health", "Message", "Messages", "Open", "Post", "Stored", "Tunnel", "Tunnels"]


def _from_base64(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("base64 text")  # noqa: TRY004 - pydantic turns ValueError, not TypeError, into a refusal
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if base64.b64encode(data).decode() != text:
        # Two spellings of one blob would make "the same bytes again" a matter of taste.
        raise ValueError("not canonical base64")
    return data


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


Base64 = Annotated[bytes, BeforeValidator(_from_base64)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Open(Wire):
    """PUT /v1/tunnels/{tid}"""

    offer: Annotated[Base64, Field(min_length=1)]
    device_token_sha256: Sha256
    claim_sha256: Sha256
    ttl: Annotated[int, Field(ge=1, le=LONGEST_TTL)]


class Post(Wire):
    """POST /v1/tunnels/{tid}/messages"""

    slot: Literal["answer", "confirm", "ready", "control-admin", "control-device"]
    blob: Annotated[Base64, Field(min_length=1)]


class Stored(Wire):
    stored: bool
    """False: it was there already."""


class Message(Wire):
    number: int
    slot: str
    blob: Annotated[bytes, PlainSerializer(_to_base64)]


class Messages(Wire):
    state: Literal["open", "closed"]
    messages: list[Message]


class Tunnel(Wire):
    tunnel: str
    state: Literal["open", "closed"]
    slots: list[str]
    created: str
    expires: str
    answered_by: str | None


class Tunnels(Wire):
    tunnels: list[Tunnel]


class Health(Wire):
    status: Literal["ok"]
