"""Servers from any cloud that libcloud drives and `cloud_table.py` has a row for, each with a firewall of its own where the row has one.

Two things are never taken on trust: that a create without an answer made nothing, and that a server is gone. What passes by
itself (busy, slow, briefly broken) is tried again after growing pauses of no fixed length, so that many tools do not come back at once.

Drivers raise whatever their libraries do (`requests`, XML parsers, bare `TypeError`), so `Exception` is caught at each call of one;
nothing is swallowed: `cloud_failure` gives it one of our types and it is raised again, or an answer of the cloud replaces it.
Over 300 lines: making, finding and ending ask the same list with the same patience, of servers and of firewalls.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from support_tunnel.adapters.cloud_failure import as_cloud_error, classify
from support_tunnel.adapters.cloud_table import CLOUDS, CloudRow, row
from support_tunnel.adapters.clouds.row import Opened, Told
from support_tunnel.adapters.clouds.told import check
from support_tunnel.core.errors import CloudError, HostError, SupportTunnelError, UsageError
from support_tunnel.core.ports import Clock, Server, ServerSpec
from support_tunnel.core.secret import Secret
from support_tunnel.core.spending import parse_dollars
from support_tunnel.core.waiting import wait_for

__all__ = ["LibcloudCloud"]

T = TypeVar("T")

_OURS = "st-tunnel"
_ATTEMPT = "st-attempt"
"""Tag with a random value for each create: tells the server of a lost answer from one of an earlier attempt."""
_FIREWALL = "firewall:"
"""Before the id of a firewall whose server is gone: it is listed and ended as one, so that whoever sweeps need not know of it."""
_PATIENCE_FOR_DESTROY = 180.0
_PASSES = ("rate", "retry")
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between the tries of one call, each stretched or shortened by up to half."""


class LibcloudCloud:
    """The port `Cloud` over a libcloud driver; safe to share among threads."""

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        clock: Clock,
        *,
        rows: Mapping[str, CloudRow] = CLOUDS,
        secret: Callable[[str, str], Secret[str]] | None = None,
        besides: Told | None = None,
    ) -> None:
        """Raises UsageError `cloud.unknown`, and `config.*` for settings that the row does not know.

        `secret` reads one from where the inventory says it is, told what it is for; `besides` goes to the row unchecked.
        """
        self.row = row(name, rows)
        self._written = {**check(self.row, settings, f"support_tunnel/clouds/{name}"), **(besides or {})}
        self._secret = secret
        self._clock = clock
        self._drivers = threading.local()
        self._reading = threading.Lock()
        self._read: Told | None = None

    def create(self, spec: ServerSpec) -> Server:
        """Launch. When the answer is lost the server is looked for, and adopted if it was made, before there is another try."""
        limit, size = self.row.user_data_limit, len(spec.user_data.encode())
        if limit and size > limit:
            raise CloudError(
                "cloud.too-long", f"the cloud {self.row.name} takes {limit} bytes of user-data, and these are {size}"
            )
        driver = self._driver()
        spec = replace(spec, tags={**spec.tags, _ATTEMPT: secrets.token_hex(8)})
        opened = self._opened(spec)
        arguments = self._asked(lambda: self.row.arguments(driver, spec, self._told(), opened))
        for pause in (*_PAUSES, None):
            try:
                made = self._server(self.row.create(driver, spec.name, arguments))
            except Exception as error:  # drivers raise bare ones too; what is not known to pass by itself goes on up
                failure, kind = self._failure(error), classify(error)
                if failure is error or kind not in (*_PASSES, "unknown", "taken"):
                    raise failure from error
                adopted = self._adopt(spec)
                if adopted is not None:
                    return adopted
                if kind in ("unknown", "taken") or pause is None:
                    raise failure from error
                self._pause(pause)
            else:
                # One of a try before, that the list did not show yet when it was looked for.
                return made if pause == _PAUSES[0] else self._adopt(spec) or made
        raise AssertionError("the last try returns or raises")

    def servers(self) -> Sequence[Server]:
        servers = self._ours()
        return [*servers, *self._walls_without_server(servers)]

    def _ours(self) -> list[Server]:
        nodes = self._listed()
        return self._asked(lambda: [self._server(node) for node in nodes if _OURS in self.row.tags(node)])

    def destroy(self, server_id: str) -> None:
        """End it; returns once the cloud no longer lists it. Raises CloudError `cloud.foreign` for what is not ours."""
        if server_id.startswith(_FIREWALL):
            self._close(server_id.removeprefix(_FIREWALL))
            return
        node = self._find(server_id)
        if node is None:
            return
        if _OURS not in self.row.tags(node):
            raise CloudError(
                "cloud.foreign", f"server {server_id} does not carry our tag, so it is not ours to destroy"
            )
        try:
            self._patiently(lambda: self.row.destroy(self._driver(), node))
        except Exception as error:  # drivers raise bare ones too; "gone" is what was wanted, all else is raised as ours
            # Somebody else may have been quicker; the list below has the last word, as it has over "True".
            if classify(error) != "gone":
                failure = self._failure(error)
                raise CloudError(
                    failure.code,
                    f"{failure.message}; server {server_id} is still there",
                    next_step=f"Run `fab sweep`, or end server {server_id} in the cloud's own console.",
                ) from error
        try:
            wait_for(
                lambda: True if self._find(server_id) is None else None,
                what="end of the server",
                seconds=_PATIENCE_FOR_DESTROY,
                clock=self._clock,
                longest_pause=5,
            )
        except HostError as error:
            raise CloudError(
                "cloud.still-there",
                f"the cloud {self.row.name} still lists server {server_id}",
                next_step=f"Run `fab sweep`, or end server {server_id} in the cloud's own console.",
            ) from error
        tunnel = self.row.tags(node)[_OURS]
        if self.row.firewall is None or any(server.tags[_OURS] == tunnel for server in self._ours()):
            return  # a second server of one create ends; the first still needs its ports
        for opened in self._firewalls():
            if opened.tags[_OURS] == tunnel:
                self._close(opened.id)

    def now(self) -> datetime | None:
        """From the Date of the last answer over HTTP."""
        line = getattr(getattr(self._driver(), "connection", None), "connection", None)
        headers = getattr(getattr(line, "response", None), "headers", None) or {}
        try:
            found = parsedate_to_datetime(headers.get("date", ""))
        except (TypeError, ValueError):
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def hourly(self) -> float | None:
        """As the inventory says, else as the row knows; some clouds are asked."""
        if self._written["hourly"]:
            return parse_dollars(self._written["hourly"], f"support_tunnel/clouds/{self.row.name}/hourly")
        driver = self._driver()
        spec = ServerSpec("", "", self._clock.now(), {})
        return self._asked(lambda: self._patiently(lambda: self.row.hourly(driver, spec, self._told())))

    def _opened(self, spec: ServerSpec) -> Any:
        """Make its firewall. Tried again like a list: who opens the same ports twice finds them open."""
        firewall, driver = self.row.firewall, self._driver()
        if firewall is None or not spec.open_ports:
            return None
        for known in self._listed_firewalls():
            if known.name == spec.name and known.tags.get(_OURS) != spec.tags[_OURS]:
                raise CloudError(
                    "cloud.taken",
                    f"the cloud {self.row.name} has a firewall {known.name} that is not this tunnel's",
                    next_step=f"Rename or remove firewall {known.id} in the cloud's own console.",
                )
            if known.name == spec.name:
                self._close(known.id)  # of an earlier try: it lets in another port
        return self._asked(lambda: self._patiently(lambda: firewall.open(driver, spec, self._told())))

    def _firewalls(self) -> Sequence[Opened]:
        """Those with our tag."""
        return [opened for opened in self._listed_firewalls() if _OURS in opened.tags]

    def _listed_firewalls(self) -> Sequence[Opened]:
        firewall, driver = self.row.firewall, self._driver()
        if firewall is None:
            return []
        return self._asked(lambda: self._patiently(lambda: firewall.listed(driver, self._told())))

    def _walls_without_server(self, servers: Sequence[Server]) -> list[Server]:
        held = {server.tags[_OURS] for server in servers}
        return [
            Server(
                f"{_FIREWALL}{opened.id}",
                f"{opened.name} (firewall)",
                "",
                running=False,
                tags=dict(opened.tags),
                billed=False,
            )
            for opened in self._firewalls()
            if opened.tags[_OURS] not in held
        ]

    def _close(self, firewall_id: str) -> None:
        """Remove a firewall of ours; some clouds hold on to it for a while after its last server is gone."""
        firewall = self.row.firewall
        if firewall is None or not any(opened.id == firewall_id for opened in self._firewalls()):
            return

        def closed() -> bool | None:
            try:
                firewall.close(self._driver(), firewall_id, self._told())
            except Exception as error:  # as above: what passes is tried again, all else is raised as ours
                if classify(error) not in ("gone", "in-use", *_PASSES):
                    raise self._failure(error) from error
            return None if any(opened.id == firewall_id for opened in self._firewalls()) else True

        try:
            wait_for(
                closed, what="end of its firewall", seconds=_PATIENCE_FOR_DESTROY, clock=self._clock, longest_pause=5
            )
        except HostError as error:
            raise CloudError(
                "cloud.still-there",
                f"the cloud {self.row.name} still has the firewall {firewall_id}",
                next_step=f"Run `fab sweep`, or remove firewall {firewall_id} in the cloud's own console.",
            ) from error

    def _adopt(self, spec: ServerSpec) -> Server | None:
        """Find the server of a create whose answer was lost; a second one, made by a driver's own retry, is ended."""
        found = [server for server in self._ours() if server.tags.get(_ATTEMPT) == spec.tags[_ATTEMPT]]
        for surplus in found[1:]:
            self.destroy(surplus.id)
        return found[0] if found else None

    def _find(self, server_id: str) -> Any | None:
        return next((node for node in self._listed() if str(node.id) == server_id), None)

    def _listed(self) -> list[Any]:
        driver = self._driver()
        nodes = self._asked(lambda: self._patiently(lambda: self.row.listed(driver)))
        if not nodes and not self._asked(lambda: self.row.genuine(driver)):
            raise CloudError(
                "cloud.odd-answer",
                f"the cloud {self.row.name} answers with nothing at all, not even its locations",
                next_step="Check that this network has no login page or proxy in the way.",
            )
        return [node for node in nodes if str(node.state) not in self.row.forgotten]

    def _server(self, node: Any) -> Server:
        return Server(
            id=str(node.id),
            name=str(node.name),
            address=self.row.address(node),
            running=str(node.state) == "running",
            tags=dict(self.row.tags(node)),
            boot_seconds=self.row.boot_seconds,
        )

    def _patiently(self, call: Callable[[], T]) -> T:
        """Do what may be done twice, again while what keeps it from being done passes by itself."""
        for pause in _PAUSES:
            try:
                return call()
            except Exception as error:  # drivers raise bare ones too; what is not known to pass by itself goes on up
                if classify(error) not in _PASSES:
                    raise
            self._pause(pause)
        return call()

    def _pause(self, seconds: float) -> None:
        self._clock.pause(seconds * (0.5 + secrets.randbelow(1001) / 1000))

    def _asked(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except Exception as error:  # drivers raise bare ones too; each is raised again as one of ours
            raise self._failure(error) from error

    def _driver(self) -> Any:
        """One a thread: sixteen threads with one driver got each other's answers."""
        if not hasattr(self._drivers, "driver"):
            self._drivers.driver = self._asked(lambda: self.row.connect(self._told()))
        return self._drivers.driver

    def _told(self) -> Told:
        """The settings with their secrets in them, read once: `env:` takes one out of the environment."""
        with self._reading:
            if self._read is None:
                wanted = {setting.name: setting.meaning for setting in self.row.settings if setting.secret}
                read = {name: self._secret_of(name, what) for name, what in wanted.items() if self._written[name]}
                self._read = {**self._written, **read}
            return self._read

    def _failure(self, error: Exception) -> SupportTunnelError:
        secrets_of_it = [value.reveal() for value in (self._read or {}).values() if isinstance(value, Secret)]
        return as_cloud_error(self.row.name, error, hidden=secrets_of_it)

    def _secret_of(self, name: str, what: str) -> Secret[str]:
        if self._secret is None:
            raise UsageError("secret.source", f"{self.row.name}/{name}: nothing here reads secrets")
        return self._secret(self._written[name], f"{self.row.name}: {what}")
