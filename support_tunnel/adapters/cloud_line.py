"""How one cloud is asked: a driver a thread, its credentials, patience with what passes by itself, failures in our words.

What is asked, and in which order, is `cloud_libcloud.py`'s.

Drivers raise whatever their libraries do (`requests`, XML parsers, bare `TypeError`), so `Exception` is caught at each call of one;
nothing is swallowed: `cloud_failure` gives it one of our types and it is raised again.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from support_tunnel.adapters.cloud_failure import as_cloud_error
from support_tunnel.adapters.clouds.row import CloudRow, Told
from support_tunnel.core.errors import SupportTunnelError, UsageError
from support_tunnel.core.ports import Clock
from support_tunnel.core.secret import Secret

__all__ = ["PASSES", "PAUSES", "CloudLine"]

T = TypeVar("T")

PASSES = ("cloud.rate", "cloud.retry")
"""Failures that pass by themselves."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between the tries of one call, each stretched or shortened by up to half."""
_LONGEST_ASKED = 60.0
"""Seconds of a cloud's Retry-After that are waited; who must wait longer is told so, and comes back."""
_LASTING = ("file:", "cmd:")
"""Where a secret may have become another one since it was read; a variable is taken out of the environment."""


class _Mine(threading.local):
    """One driver a thread: sixteen threads with one driver got each other's answers."""

    told: Told | None = None
    driver: Any = None


class CloudLine:
    """Safe to share among threads. `written` are the settings, checked; `secret` reads one from where they say that it is."""

    def __init__(
        self,
        row: CloudRow,
        written: Mapping[str, Any],
        clock: Clock,
        secret: Callable[[str, str], Secret[str]] | None,
    ) -> None:
        self._row = row
        self._written = written
        self._clock = clock
        self._secret = secret
        self._mine = _Mine()
        self._reading = threading.Lock()
        self._told: Told | None = None
        self._quiet_until = 0.0

    def ask(self, question: Callable[[Any, Told], T]) -> T:
        """Ask what may be asked twice, with driver and settings: again while what keeps it from being answered passes by itself.

        Raises CloudError `cloud.*`.
        """
        for pause in PAUSES:
            self._keep_quiet()
            try:
                return self._renewing(question)
            except SupportTunnelError as failure:
                if failure.code not in PASSES:
                    raise
                asked = getattr(failure.__cause__, "retry_after", 0.0)
                slow_down = failure.code == "cloud.rate"
            if slow_down:
                self._be_quiet(max(_stretched(pause), min(asked, _LONGEST_ASKED)))
            else:
                self.pause(pause)
        self._keep_quiet()
        return self._renewing(question)

    def ask_once(self, question: Callable[[Any, Told], T]) -> T:
        """Raises CloudError `cloud.*`."""
        try:
            driver = self._driver()
            return question(driver, self._mine.told or {})
        except Exception as error:  # drivers raise bare ones too; each is raised again as one of ours
            raise self._failure(error) from error

    def renew(self) -> bool:
        """Whether there are other credentials by now than those that this thread was refused with.

        Some run out in a long session. Read again by one thread for all, from a file or a program.
        """
        refused = self._mine.told
        with self._reading:
            if self._told is refused:
                fresh = self._with_secrets(refused)
                self._told = refused if fresh == refused else fresh
            return self._told is not refused

    def pause(self, seconds: float) -> None:
        """About so long, so that many tools do not come back at once."""
        self._clock.pause(_stretched(seconds))

    def now(self) -> datetime | None:
        """The cloud's clock, from the Date of the last answer over HTTP to this thread."""
        line = getattr(getattr(self._mine.driver, "connection", None), "connection", None)
        headers = getattr(getattr(line, "response", None), "headers", None) or {}
        try:
            found = parsedate_to_datetime(headers.get("date", ""))
        except (TypeError, ValueError):
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def _be_quiet(self, seconds: float) -> None:
        """For all threads: what the cloud asks of one, to slow down, holds for the account."""
        with self._reading:
            self._quiet_until = max(self._quiet_until, self._clock.monotonic() + seconds)

    def _keep_quiet(self) -> None:
        while (left := self._quiet_until - self._clock.monotonic()) > 0:
            self._clock.pause(left)

    def _renewing(self, question: Callable[[Any, Told], T]) -> T:
        try:
            return self.ask_once(question)
        except SupportTunnelError as failure:
            if failure.code != "cloud.auth" or not self.renew():
                raise
        return self.ask_once(question)

    def _driver(self) -> Any:
        with self._reading:
            if self._told is None:
                self._told = self._with_secrets(None)
            if self._mine.told is not self._told:
                self._mine.told, self._mine.driver = self._told, None
        if self._mine.driver is None:
            self._mine.driver = self._row.connect(self._mine.told)
        return self._mine.driver

    def _with_secrets(self, before: Told | None) -> Told:
        """The settings with their secrets in them; one that cannot be read again is as it was `before`."""
        wanted = {one.name: one.meaning for one in self._row.settings if one.secret and self._written[one.name]}
        read = {
            name: before[name] if before and not self._written[name].startswith(_LASTING) else self._read(name, meaning)
            for name, meaning in wanted.items()
        }
        return {**self._written, **read}

    def _read(self, name: str, meaning: str) -> Secret[str]:
        if self._secret is None:
            raise UsageError("secret.source", f"{self._row.name}/{name}: nothing here reads secrets")
        return self._secret(self._written[name], f"{self._row.name}: {meaning}")

    def _failure(self, error: Exception) -> SupportTunnelError:
        hidden = [value.reveal() for value in (self._mine.told or {}).values() if isinstance(value, Secret)]
        return as_cloud_error(self._row.name, error, hidden=hidden)


def _stretched(seconds: float) -> float:
    return seconds * (0.5 + secrets.randbelow(1001) / 1000)
