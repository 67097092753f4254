"""The wire: strict models, nothing extra, canonical base64. They check shape only; what a blob says is sealed from us."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from support_tunnel.api.settings import MAX_BLOB
from support_tunnel.core.ports import LONGEST_LIFE

__all__ = ["Health", "Message", "Messages", "Open", "Post", "Problem", "Stored", "Tunnel", "Tunnels"]


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


CANONICAL = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)$"
"""The one spelling that `_from_base64` takes, for whoever writes a client from the OpenAPI document."""
BLOB_SCHEMA = {
    "type": "string",
    "contentEncoding": "base64",
    "pattern": CANONICAL,
    "minLength": 4,
    "maxLength": -(-MAX_BLOB // 3) * 4,
    "examples": ["c2VhbGVk"],
}

Base64 = Annotated[bytes, BeforeValidator(_from_base64), WithJsonSchema(BLOB_SCHEMA)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", examples=["5e" * 32])]


class Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True)


class Open(Wire):
    """A tunnel as its device registers it."""

    offer: Annotated[Base64, Field(min_length=1)]
    """The first sealed message, at most 16 KiB."""
    device_token_sha256: Sha256
    """Of the token that the device made for this tunnel and shows from now on."""
    claim_sha256: Sha256
    """Of the claim that the support code yields; an admin shows the claim itself."""
    ttl: Annotated[int, Field(ge=1, le=LONGEST_LIFE, examples=[3600])]
    """Seconds until the tunnel and its messages are gone, counted from this request."""


class Post(Wire):
    """A sealed message for the other side."""

    slot: Literal["answer", "confirm", "ready", "control-admin", "control-device"]
    """What the message is for: the device writes confirm, ready and control-device, the admin the other two."""
    blob: Annotated[Base64, Field(min_length=1)]
    """The sealed message, at most 16 KiB."""


class Stored(Wire):
    stored: bool
    """False: it was there already."""


class Message(Wire):
    number: int
    """Rises from message to message; ask for what is `after` the highest one seen."""
    slot: str
    """What the message is for; `offer` is the first one."""
    blob: Annotated[bytes, PlainSerializer(_to_base64), WithJsonSchema(BLOB_SCHEMA)]


class Messages(Wire):
    state: Literal["open", "closed"]
    """Closed: the device or the admin ended it; what is here may still be read until its time is over."""
    messages: list[Message]


class Tunnel(Wire):
    tunnel: str
    """The id: 32 hex digits."""
    state: Literal["open", "closed"]
    slots: list[str]
    """Which kinds of message there are, so far."""
    created: str
    """ISO 8601, UTC."""
    expires: str
    """ISO 8601, UTC."""
    answered_by: str | None
    """Name of the token of the admin who answered."""


class Tunnels(Wire):
    tunnels: list[Tunnel]


class Health(Wire):
    status: Literal["ok"]


class Problem(Wire):
    """Every refusal looks like this and repeats nothing of the request."""

    code: Annotated[str, Field(examples=["tunnel.unknown"])]
    """Stable; programs match it."""
    message: Annotated[str, Field(examples=["there is no such tunnel"])]
    """One sentence for people."""
    by: str = ""
    """With `answer.late`: whose answer is there."""
    since: str = ""
    """With `answer.late`: since when, ISO 8601, UTC."""
