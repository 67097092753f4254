"""Admin tokens, one a person, made and revoked on the API's own host (`fab api.token`); there is no HTTP way to make one.

Opaque on purpose: 256 random bits have no parser to attack, and one row revokes one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence

from support_tunnel.api.store import AdminToken, TokenStore
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import Clock
from support_tunnel.core.secret import Secret

__all__ = ["ADMIN", "RIGHTS", "TOKEN_NAME", "create_token", "list_tokens", "revoke_token"]

ADMIN = frozenset({"answer", "list"})
"""`answer`: read and answer a tunnel whose code one has. `list`: see metadata of all open ones."""
RIGHTS = ADMIN | {"metrics"}
"""`metrics`: read what the service counts, for a program that watches it; not a person's right."""
TOKEN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,63}")
"""Other admins' terminals print these names, so nothing that a terminal would obey is in them."""


def create_token(store: TokenStore, *, name: str, rights: Iterable[str] = ADMIN, clock: Clock) -> Secret[str]:
    """Make a token; its value exists only in what this returns. Raises UsageError `token.name`, `.rights`, `.exists`."""
    wanted = frozenset(rights)
    if not TOKEN_NAME.fullmatch(name):
        raise UsageError("token.name", "a token's name is 1 to 64 of letters, digits, space and . _ @ + -")
    if not wanted or wanted - RIGHTS:
        raise UsageError("token.rights", f"the rights of a token are among {', '.join(sorted(RIGHTS))}")
    value = secrets.token_urlsafe(32)
    if not store.add_token(name, hashlib.sha256(value.encode()).digest(), wanted, clock.now()):
        raise UsageError("token.exists", f"there is a live token named {name}", next_step="Revoke it first.")
    return Secret(value)


def revoke_token(store: TokenStore, *, name: str, clock: Clock) -> None:
    """Revoke at once, also for requests that are waiting. Raises UsageError `token.unknown`."""
    if not store.revoke_token(name, clock.now()):
        raise UsageError("token.unknown", "no live token has that name", next_step="List them: `fab api.token.list`.")


def list_tokens(store: TokenStore) -> Sequence[AdminToken]:
    """Every token ever made, oldest first, revoked ones too."""
    return store.tokens()
