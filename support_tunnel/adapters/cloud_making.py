"""Make one server on a cloud, with its firewall before it: however many answers are lost, one server comes of a create, or none.

That a create without an answer made nothing is never taken on trust: its server is looked for before it is sent again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from support_tunnel.adapters.cloud_line import PASSES, PAUSES, CloudLine
from support_tunnel.adapters.cloud_seen import OURS, CloudSeen
from support_tunnel.adapters.clouds.row import CloudRow, Opened, Told
from support_tunnel.core.errors import CloudError, SupportTunnelError
from support_tunnel.core.ports import Clock, Server, ServerSpec
from support_tunnel.core.waiting import wait_for

__all__ = ["CloudMaking"]

_ATTEMPT = "st-attempt"
"""Tag with a random value for each create: tells the server of a lost answer from one of an earlier attempt."""
_PATIENCE_FOR_PROMISE = 600.0
_UNSURE = ("cloud.unknown", "cloud.taken")
"""Failures of a create that do not pass, and after which its server may be there all the same."""

Create = Callable[[Any, Told], Server]
"""Sends it, once."""


class CloudMaking:
    """`end` proves a server gone, `close` a firewall."""

    def __init__(
        self,
        row: CloudRow,
        line: CloudLine,
        seen: CloudSeen,
        clock: Clock,
        *,
        end: Callable[[str], None],
        close: Callable[[Opened], None],
    ) -> None:
        self._row = row
        self._line = line
        self._seen = seen
        self._clock = clock
        self._end = end
        self._close = close

    def create(self, spec: ServerSpec) -> Server:
        """Launch; where a cloud only promises the server, wait until it is made."""
        limit, size = self._row.user_data_limit, len(spec.user_data.encode())
        if limit and size > limit:
            raise CloudError(
                "cloud.too-long", f"the cloud {self._row.name} takes {limit} bytes of user-data, and these are {size}"
            )
        spec = replace(spec, tags={**spec.tags, _ATTEMPT: secrets.token_hex(8)})
        opened = self._opened(spec)
        arguments = self._line.ask(lambda driver, told: self._row.arguments(driver, spec, told, opened))

        def create(driver: Any, _: Told) -> Server:
            return self._seen.server(self._row.create(driver, spec.name, arguments))

        return self._launched(spec, create) if self._row.made is None else self._promised(spec, create, self._row.made)

    def _launched(self, spec: ServerSpec, create: Create) -> Server:
        """When the answer is lost the server is looked for, and adopted if it was made, before it is sent again."""
        lost = False
        for pause in (*PAUSES, None):
            try:
                made = self._line.ask_once(create)
            except CloudError as failure:
                renewed = failure.code == "cloud.auth" and self._line.renew()
                if not renewed and failure.code not in (*PASSES, *_UNSURE):
                    raise
                lost = lost or failure.code in ("cloud.retry", "cloud.unknown")
                # There is no other try after one that nobody understands, so its server may take its time to be listed.
                adopted = self._adopt(spec, PAUSES if lost and failure.code in _UNSURE else ())
                if adopted is not None:
                    return adopted
                if pause is None or failure.code in _UNSURE:
                    raise
                if not renewed:
                    self._line.pause(pause)
            else:
                # One of a try before, that the list did not show yet when it was looked for.
                return made if pause == PAUSES[0] else self._adopt(spec) or made
        raise AssertionError("the last try returns or raises")

    def _promised(self, spec: ServerSpec, create: Create, made: Callable[[Any, str], bool | None]) -> Server:
        """As `_launched`; what was promised and cannot be made, or is not, is ended."""
        try:
            server = self._launched(spec, create)

            def made_by_now() -> bool | None:
                found = self._line.ask(lambda driver, _: made(driver, server.id))
                if found is None:
                    self._line.ask(create)  # only its first step was taken, whose answer was lost
                return found or None

            wait_for(made_by_now, what="it", seconds=_PATIENCE_FOR_PROMISE, clock=self._clock, longest_pause=5)
        except SupportTunnelError as failure:
            with suppress(SupportTunnelError):  # what cannot be ended now carries our tag, and a sweep finds it
                for begun in self._of_attempt(spec):
                    self._end(begun.id)
            if failure.code != "wait.timeout":
                raise
            raise CloudError(
                "cloud.retry",
                f"the cloud {self._row.name} promised a server and did not make it in {_PATIENCE_FOR_PROMISE:g} seconds",
                next_step="Run the same command again, or name another region of it in the inventory.",
            ) from failure
        return server

    def _opened(self, spec: ServerSpec) -> Any:
        """Make its firewall. Tried again like a list: who opens the same ports twice finds them open."""
        firewall = self._row.firewall
        if firewall is None or not spec.open_ports:
            return None
        for known in self._seen.all_firewalls():
            if known.name == spec.name and known.tags.get(OURS) != spec.tags[OURS]:
                raise CloudError(
                    "cloud.taken",
                    f"the cloud {self._row.name} has a firewall {known.name} that is not this tunnel's",
                    next_step=f"Rename or remove firewall {known.id} in the cloud's own console.",
                )
            if known.name == spec.name:
                self._close(known)  # of an earlier try: it lets in another port
        return self._line.ask(lambda driver, told: firewall.open(driver, spec, told))

    def _adopt(self, spec: ServerSpec, pauses: Sequence[float] = ()) -> Server | None:
        """Find the server of a create whose answer was lost, and look again after each of `pauses`: a list may be behind.

        A second one, made by a driver's own retry, is ended.
        """
        for pause in (*pauses, None):
            found = self._of_attempt(spec)
            for surplus in found[1:]:
                self._end(surplus.id)
            if found:
                return found[0]
            if pause is not None:
                self._line.pause(pause)
        return None

    def _of_attempt(self, spec: ServerSpec) -> list[Server]:
        return [server for server in self._seen.servers() if server.tags.get(_ATTEMPT) == spec.tags[_ATTEMPT]]
