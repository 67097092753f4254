"""Reads what a Headscale answers, as something an attacker may have written: bounded, typed, one error each.

Pure: bytes in, ports' types or an error out. Absence is a 404 in Headscale's own words; a 404 page of anything else is an error,
because a teardown that believed it would leave nodes joined.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from support_tunnel.core.errors import CoordinatorError
from support_tunnel.core.ports import ApiKey, CoordinatorUser, JoinKey, Node, StoredPolicy

__all__ = [
    "Answer",
    "garbage",
    "read_api_key",
    "read_key",
    "read_node",
    "read_policy",
    "read_rows",
    "read_user",
    "refusal",
    "refused",
    "secret_text",
]

T = TypeVar("T")

_ID = re.compile(r"[0-9]{1,20}")
_MASKED = re.compile(r"hskey-api-([A-Za-z0-9_-]{12})-\*\*\*|([A-Za-z0-9_-]{7})\*\*\*")
"""How the list shows an API key; the second form is of keys that a server before 0.28 made."""
_TAGGED_DEVICES = "2147455555"
"""Id of the user that Headscale shows for nodes that belong to tags (hscontrol/types/users.go)."""
_NOT_FOUND = 5
"""gRPC's code, which Headscale's JSON errors carry."""
_ABSENT = re.compile(r"\bnode not found\b")
"""A route that a server does not have is 404 with the same code and says `Not Found`."""
_NO_FAULT_OF_THE_SERVER = re.compile(
    r"user not (found|empty)|creating user: .*UNIQUE constraint|auth-key must be either tagged|update is disabled for modes"
    r"|setting policy: |verifying SSH rules: |tag must start with|tag should be lowercase|tag should not contain"
)
"""What 0.29 says, with status 500, of requests that it will not do (hscontrol/grpcv1.go, db/, policy/). Other 500s are trouble."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    date: str
    """The server's clock, as HTTP's own header tells it."""

    def json(self) -> dict[str, Any]:
        parsed = self._parsed()
        if parsed is None:
            raise garbage()
        return parsed

    def said(self) -> tuple[int, str] | None:
        """gRPC code and message of an error in Headscale's form, 0.30's problem documents included; None for anything else."""
        match self._parsed():
            case {"code": int(code), "message": str(message)}:
                return code, message
            case {"status": int(), "detail": str(message)} | {"status": int(), "title": str(message)}:
                return (_NOT_FOUND if self.status == 404 else 0), message
        return None

    def _parsed(self) -> dict[str, Any] | None:
        try:
            parsed = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return parsed if isinstance(parsed, dict) else None


def refusal(answer: Answer) -> CoordinatorError:
    """Turn a status that is not 200 into the error of the port; 401 is the caller's, who can ask the server's health."""
    said = answer.said()
    if said is None:
        if answer.status >= 500:
            return _trouble(answer.status)
        return garbage()
    code, words = said
    if answer.status == 404 and code == _NOT_FOUND and _ABSENT.search(words):
        return CoordinatorError(
            "headscale.absent",
            "the Headscale server knows no such thing; it may be gone",
            next_step="Look at its list.",
        )
    if answer.status in (400, 409, 422) or (answer.status == 500 and _NO_FAULT_OF_THE_SERVER.match(words)):
        return refused(words)
    return _trouble(answer.status) if answer.status >= 500 else garbage()


def refused(words: str) -> CoordinatorError:
    return CoordinatorError(
        "headscale.refused",
        f"the Headscale server refuses this: {_printable(words)}",
        next_step="Correct what it names; nothing was changed.",
    )


def garbage() -> CoordinatorError:
    return CoordinatorError(
        "headscale.answer",
        "what answered is not a Headscale's API",
        next_step="Check the address; a proxy or a login page may stand in front of it.",
    )


def read_rows(answer: Answer, name: str, read: Callable[[object], T]) -> list[T]:
    """The list `name` of an answer, each row by `read`. A row that cannot be read spoils the list: half of one proves nothing."""
    rows = answer.json().get(name)
    if not isinstance(rows, list):
        raise garbage()
    return [read(row) for row in rows]


def read_user(row: object) -> CoordinatorUser:
    match row:
        case {"id": str(number), "name": str(name), "createdAt": created}:
            return CoordinatorUser(_id(number), _printable(name), _moment(created))
    raise garbage()


def read_key(row: object) -> JoinKey:
    match row:
        case {
            "id": str(number),
            "aclTags": list(tags),
            "reusable": bool(reusable),
            "ephemeral": bool(ephemeral),
            "used": bool(used),
            **rest,
        }:
            expires = rest.get("expiration")
            return JoinKey(
                _id(number),
                _owner(rest.get("user")),
                _tags(tags),
                reusable,
                ephemeral,
                used,
                None if expires is None else _moment(expires),
            )
    raise garbage()


def read_node(row: object) -> Node:
    match row:
        case {
            "id": str(number),
            "givenName": str(name),
            "ipAddresses": list(addresses),
            "tags": list(tags),
            "online": bool(online),
            "createdAt": created,
            **rest,
        } if all(isinstance(address, str) and re.fullmatch(r"[0-9a-f.:]{2,45}", address) for address in addresses):
            expiry = rest.get("expiry")
            expires = None if expiry is None else _moment(expiry)
            match rest.get("preAuthKey"):
                case None:
                    key = None
                case {"id": str(key_id)}:
                    key = _id(key_id)
                case _:
                    raise garbage()
            return Node(
                _id(number),
                _printable(name),
                tuple(addresses),
                None if tags else _owner(rest.get("user")),
                _tags(tags),
                online,
                None if expires is None or expires.year == 1 else expires,  # Go's zero time: a node that never expires
                _moment(created),
                key,
            )
    raise garbage()


def read_policy(answer: Answer) -> StoredPolicy:
    match answer.json():
        case {"policy": str(text), **rest}:
            changed = rest.get("updatedAt")
            return StoredPolicy(text, None if changed is None else _moment(changed))
    raise garbage()


def read_api_key(row: object) -> ApiKey:
    match row:
        case {"id": str(number), "prefix": str(shown), **rest}:
            masked = _MASKED.fullmatch(shown)
            if masked is None:
                raise garbage()
            expires, created = (
                None if rest.get(name) is None else _moment(rest[name]) for name in ("expiration", "createdAt")
            )
            return ApiKey(_id(number), masked[1] or masked[2], expires, created)
    raise garbage()


def secret_text(row: Mapping[str, Any], name: str, kind: str) -> str:
    """The key that an answer tells once; it goes into a Secret and nowhere else."""
    text = row.get(name)
    if not isinstance(text, str) or not re.fullmatch(rf"hskey-{kind}-[A-Za-z0-9_-]{{20,200}}", text):
        raise garbage()
    return text


def _owner(row: object) -> str | None:
    match row:
        case None:
            return None
        case {"id": str(number)}:
            return None if number == _TAGGED_DEVICES else _id(number)
    raise garbage()


def _tags(tags: list[object]) -> tuple[str, ...]:
    # Others' tags on a standing server may be longer or odder than ours; what has control characters is no tag.
    if not all(isinstance(tag, str) and re.fullmatch(r"tag:[\x21-\x7e]{1,250}", tag) for tag in tags):
        raise garbage()
    return tuple(str(tag) for tag in tags)


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise garbage()
    return text


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() is None:
        raise garbage()
    return moment


def _printable(words: str) -> str:
    """Another's text for a terminal: printable ASCII, not long, no key in it."""
    plain = re.sub(r"[^\x20-\x7e]", "?", words)
    return re.sub(r"hskey-(auth|api|authreq)-\S+", "hskey-***", plain)[:300]


def _trouble(status: int) -> CoordinatorError:
    return CoordinatorError(
        "headscale.unavailable",
        f"the Headscale server cannot serve right now (status {status})",
        next_step="Look at its journal (`journalctl -u headscale`); then try again.",
    )
