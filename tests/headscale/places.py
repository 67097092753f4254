"""What a contract test may ask of a Headscale besides the port: an operator's key, time, and nodes that join."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from ssl import create_default_context
from typing import Protocol

import httpx

from support_tunnel.core.ports import Coordinator
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for
from support_tunnel.testing.clock import ManualClock
from support_tunnel.testing.fake_headscale import FakeHeadscale
from tests.headscale.real import CLOCK, Members, RealHeadscale, real_headscale, wire

YEAR_1 = datetime(1, 1, 1, tzinfo=UTC)


class Place(Protocol):
    def face(self, key: Secret[str] | None = None) -> Coordinator:
        """A client with this API key, or with one that the operator just made."""
        ...

    def join(self, key: Secret[str], name: str) -> None:
        """Let a node of this name join. Raises CoordinatorError `headscale.refused` with what the node is told."""
        ...

    def born_expired(self, tags: Sequence[str]) -> Secret[str]:
        """A pre-auth key that was made without an expiration, as an older script would."""
        ...

    def foreign(self, tags: Sequence[str]) -> Secret[str]:
        """A good pre-auth key of another server."""
        ...

    def foreign_api_key(self) -> Secret[str]:
        """A good API key of another server."""
        ...

    def let_pass(self, seconds: float) -> None: ...


class FakePlace:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.server = FakeHeadscale(self.clock)

    def face(self, key: Secret[str] | None = None) -> Coordinator:
        return self.server.face(key)

    def join(self, key: Secret[str], name: str) -> None:
        self.server.join(key, name)

    def born_expired(self, tags: Sequence[str]) -> Secret[str]:
        return self.server.mint_key(YEAR_1, user=None, tags=tags, ephemeral=True, reusable=False).text

    def foreign(self, tags: Sequence[str]) -> Secret[str]:
        return FakeHeadscale(self.clock).face().create_join_key(600, tags=tags).text

    def foreign_api_key(self) -> Secret[str]:
        return FakeHeadscale(self.clock).mint_api_key(600).text

    def let_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)


class RealPlace:
    def __init__(self, server: RealHeadscale, members: Members, folder: Path, ends: ExitStack) -> None:
        self.server = server
        self.members = members
        self._folder = folder
        self._ends = ends
        self._neighbour: Coordinator | None = None

    def face(self, key: Secret[str] | None = None) -> Coordinator:
        return self._ends.enter_context(self.server.client(key or self.server.api_key()))

    def join(self, key: Secret[str], name: str) -> None:
        self.members.join(key, name)

    def born_expired(self, tags: Sequence[str]) -> Secret[str]:
        answer = httpx.post(
            f"{self.server.url}/api/v1/preauthkey",
            json={"aclTags": list(tags), "ephemeral": True},
            headers={"Authorization": f"Bearer {self.server.api_key().reveal()}"},
            verify=create_default_context(cadata=self.server.tls.authority),
        )
        return Secret(answer.json()["preAuthKey"]["key"])

    def foreign(self, tags: Sequence[str]) -> Secret[str]:
        return self._another().create_join_key(600, tags=tags).text

    def foreign_api_key(self) -> Secret[str]:
        return self._another().create_api_key(600).text

    def _another(self) -> Coordinator:
        """Another server's client; it runs until the end, and knows nothing of this one."""
        if self._neighbour is None:
            cable = self._ends.enter_context(wire())
            other = self._ends.enter_context(real_headscale(self._folder / "another", cable.here))
            self._neighbour = self._ends.enter_context(other.client(other.api_key()))
        return self._neighbour

    def let_pass(self, seconds: float) -> None:
        begin = CLOCK.monotonic()
        wait_for(
            lambda: CLOCK.monotonic() - begin > seconds or None,
            what="time", seconds=seconds + 5, clock=CLOCK,
        )  # fmt: skip
