"""`ports.Coordinator` over a real Headscale 0.29. Decides what each answer means; it must not guess: unclear is an error.

A server is asked for its version before anything else is, because older and newer ones take the same requests for other things.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from support_tunnel.adapters.headscale.answers import (
    Answer,
    garbage,
    read_api_key,
    read_key,
    read_node,
    read_policy,
    read_rows,
    read_user,
    refusal,
    secret_text,
)
from support_tunnel.adapters.headscale.line import Line, Trust
from support_tunnel.adapters.http_proxy import HttpProxy
from support_tunnel.core.coordinator_words import check_id, check_key_wish, check_lifetime, check_tags, check_user_name
from support_tunnel.core.errors import CoordinatorError
from support_tunnel.core.ports import (
    ApiKey,
    Clock,
    CoordinatorUser,
    JoinKey,
    MintedApiKey,
    MintedJoinKey,
    Node,
    StoredPolicy,
)
from support_tunnel.core.secret import Secret

__all__ = ["HeadscaleClient"]

_OURS = re.compile(r"v?(0\.29\.[0-9]+)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_RELEASE = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]{0,40}")
_NO_POLICY = "acl policy not found"
_PREFIX = 12
"""Characters of an API key that its list shows; dashes may be among them."""
_SLACK = 2
"""Seconds between the Date header, which has no fractions, and the time that comes back for a key."""


class HeadscaleClient:
    """Implements `ports.Coordinator`. Use it as a context, or `disconnect` it. `patience`: see `Line`."""

    def __init__(
        self,
        url: str,
        *,
        key: Secret[str],
        clock: Clock,
        trust: Trust | None = None,
        patience: float = 10.0,
        proxy: HttpProxy | None = None,
    ) -> None:
        self._line = Line(url, key=key, trust=trust or Trust(), clock=clock, patience=patience, proxy=proxy)
        self._version: str | None = None

    def version(self) -> str:
        if self._version is None:
            self._version = self._probed()
        return self._version

    def health(self) -> None:
        if self._get("/api/v1/health").json().get("databaseConnectivity") is not True:
            raise _database()

    def certificate_end(self) -> datetime | None:
        self._line.read("/health", with_key=False)
        return self._line.certificate_end

    def now(self) -> datetime:
        self.version()
        return _time(self._line.read("/health", with_key=False))

    def users(self) -> Sequence[CoordinatorUser]:
        return read_rows(self._get("/api/v1/user"), "users", read_user)

    def create_user(self, name: str) -> CoordinatorUser:
        check_user_name(name)
        return read_user(self._create("/api/v1/user", {"name": name}).json().get("user"))

    def delete_user(self, user: str) -> None:
        check_id(user)
        if all(known.id != user for known in self.users()):  # asked here, because 0.29 answers 500
            raise _no_such("user")
        self._change("DELETE", f"/api/v1/user/{user}")

    def join_keys(self) -> Sequence[JoinKey]:
        return read_rows(self._get("/api/v1/preauthkey"), "preAuthKeys", read_key)

    def create_join_key(
        self,
        lifetime: int,
        *,
        user: str | None = None,
        tags: Sequence[str] = (),
        ephemeral: bool = True,
        reusable: bool = False,
    ) -> MintedJoinKey:
        check_key_wish(lifetime, user, tags)
        expires = self.now() + timedelta(seconds=lifetime)
        body = {
            "reusable": reusable,
            "ephemeral": ephemeral,
            "expiration": _rfc3339(expires),
            "aclTags": list(tags),
            **({} if user is None else {"user": user}),
        }
        row = self._create("/api/v1/preauthkey", body).json().get("preAuthKey")
        known = read_key(row)
        asked = (user, tuple(sorted(tags)), reusable, ephemeral, False)
        got = (known.user, tuple(sorted(known.tags)), known.reusable, known.ephemeral, known.used)
        # Fields that a server does not know it drops silently: a key without its tag or its end is not what was asked for.
        if got != asked or known.expires is None or abs((known.expires - expires).total_seconds()) > _SLACK:
            self.expire_join_key(known.id)
            raise garbage()
        return MintedJoinKey(known, Secret(secret_text(row if isinstance(row, dict) else {}, "key", "auth")))

    def expire_join_key(self, key: str) -> None:
        check_id(key)
        self._change("POST", "/api/v1/preauthkey/expire", {"id": key})

    def nodes(self) -> Sequence[Node]:
        return read_rows(self._get("/api/v1/node"), "nodes", read_node)

    def node(self, node: str) -> Node:
        check_id(node)
        return read_node(self._get(f"/api/v1/node/{node}").json().get("node"))

    def expire_node(self, node: str) -> Node:
        self.node(node)  # asked here, because 0.29 answers 500 for one that is gone
        return read_node(self._change("POST", f"/api/v1/node/{node}/expire", {}).json().get("node"))

    def delete_node(self, node: str) -> None:
        check_id(node)
        self._change("DELETE", f"/api/v1/node/{node}", gone_is_done=True)

    def tag_node(self, node: str, tags: Sequence[str]) -> Node:
        check_id(node)
        check_tags(tags)
        changed = self._change("POST", f"/api/v1/node/{node}/tags", {"tags": list(tags)})
        return read_node(changed.json().get("node"))

    def policy(self) -> StoredPolicy | None:
        self.version()
        answer = self._line.read("/api/v1/policy")
        said = answer.said()
        if answer.status == 500 and said is not None and said[1].endswith(_NO_POLICY):
            return None
        return read_policy(self._good(answer))

    def set_policy(self, text: str) -> StoredPolicy:
        self.check_policy(text)  # refuses by 400, and before anything is changed
        return read_policy(self._change("PUT", "/api/v1/policy", {"policy": text}))

    def check_policy(self, text: str) -> None:
        self._change("POST", "/api/v1/policy/check", {"policy": text})

    def api_keys(self) -> Sequence[ApiKey]:
        return read_rows(self._get("/api/v1/apikey"), "apiKeys", read_api_key)

    def create_api_key(self, lifetime: int) -> MintedApiKey:
        check_lifetime(lifetime)
        expires = self.now() + timedelta(seconds=lifetime)
        answer = self._create("/api/v1/apikey", {"expiration": _rfc3339(expires)}).json()
        text = secret_text(answer, "apiKey", "api")
        return MintedApiKey(text.removeprefix("hskey-api-")[:_PREFIX], Secret(text))

    def expire_api_key(self, prefix: str) -> None:
        for known in self.api_keys():
            if known.prefix == prefix:
                self._change("POST", "/api/v1/apikey/expire", {"id": known.id})
                return
        raise _no_such("API key")

    def disconnect(self) -> None:
        """Drop the connection; the next call makes a new one."""
        self._line.disconnect()

    def __enter__(self) -> HeadscaleClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.disconnect()

    def _get(self, path: str) -> Answer:
        self.version()
        return self._good(self._line.read(path))

    def _change(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, gone_is_done: bool = False
    ) -> Answer:
        self.version()
        answer, may_have_arrived = self._line.change(method, path, body)
        try:
            return self._good(answer)
        except CoordinatorError as error:
            # The first sending did it, and its answer was lost.
            if error.code == "headscale.absent" and gone_is_done and may_have_arrived:
                return answer
            raise

    def _create(self, path: str, body: Mapping[str, Any]) -> Answer:
        self.version()
        return self._good(self._line.create(path, body))

    def _good(self, answer: Answer) -> Answer:
        if answer.status == 200:
            answer.json()
            return answer
        if answer.status in (401, 403):
            raise self._shut_out()
        raise refusal(answer)

    def _shut_out(self) -> CoordinatorError:
        """The 401 of a Headscale that cannot look keys up. 0.29 answers 401 to every key then; mostly its health page shows it."""
        health = self._line.read("/health", with_key=False)
        if health.status >= 500:
            return _database()
        return CoordinatorError(
            "headscale.auth",
            "the Headscale server does not accept this API key: it is expired, of another server, or the database is broken",
            next_step="`headscale apikeys list` on the server shows which; a new one: headscale apikeys create --expiration 1d",
        )

    def _probed(self) -> str:
        answer = self._line.read("/version", with_key=False)
        if answer.status == 404:
            # The page came late in 2025 (headscale pull request 2821). The health page shows that it is a Headscale at all.
            if self._line.read("/health", with_key=False).json().get("status") != "pass":
                raise garbage()
            raise _other_version("too old to say its version")
        if answer.status != 200:
            raise refusal(answer)
        said = answer.json().get("version")
        if not isinstance(said, str):
            raise garbage()
        if ours := _OURS.fullmatch(said):
            return ours[1]
        if _RELEASE.fullmatch(said):
            raise _other_version(said)
        if said not in ("dev", "(devel)", ""):
            raise garbage()
        # A build that does not know its number is known by what it can do: 0.29 brought the check of policies.
        checked, _ = self._line.change("POST", "/api/v1/policy/check", {"policy": '{"grants": []}'})
        if checked.status in (404, 405, 501):
            raise _other_version("a build from before 0.29")
        self._good(checked)
        return "dev"


def _other_version(which: str) -> CoordinatorError:
    return CoordinatorError(
        "headscale.version",
        f"the Headscale server is {which}; this tool speaks with 0.29",
        next_step="Install Headscale 0.29.2 on it; 0.28 cannot test a policy, and 0.30 has another API.",
    )


def _database() -> CoordinatorError:
    return CoordinatorError(
        "headscale.unavailable",
        "the Headscale server runs, but cannot reach its database",
        next_step="Look at its journal (`journalctl -u headscale`) and at the database's file and disk.",
    )


def _no_such(what: str) -> CoordinatorError:
    return CoordinatorError(
        "headscale.absent", f"the Headscale server has no such {what}; it may be gone", next_step="Look at its list."
    )


def _time(answer: Answer) -> datetime:
    """By the server's clock, so that a key lives as long as it should when one of the clocks is wrong."""
    try:
        return parsedate_to_datetime(answer.date).astimezone(UTC)
    except (TypeError, ValueError):
        raise garbage() from None


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
