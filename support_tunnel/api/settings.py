"""What an operator may choose about the API. Values come from `cli/api/tasks.py`; nothing here reads files or environment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret

__all__ = ["MAX_BLOB", "MAX_BODY", "ApiSettings", "is_loopback"]

MAX_BLOB = 16 * 1024
"""Bytes of one sealed message (ST1, 2.5)."""
MAX_BODY = 24 * 1024
"""Bytes of a request: one blob in base64 with its JSON around it."""
MOST_HISTORY = 366
"""Days; who asked for help and when is nobody's archive."""


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Settings of one API process. Rate limits live in its memory; over SQLite one process serves everybody."""

    state_dir: Path
    """Holds `mailbox.sqlite` and the self-made certificate; made 0700."""
    database: Secret[str] | None = None
    """Connection string of a PostgreSQL database to use in place of `mailbox.sqlite`; several processes may share it."""
    host: str = "127.0.0.1"
    port: int = 8443
    names: tuple[str, ...] = ()
    """Host names and addresses by which clients know it; the first one is in the URL that is announced."""
    certificate: Path | None = None
    """PEM chain of the operator; without one the API makes its own certificate for clients to pin."""
    key: Path | None = None
    plain: bool = False
    """http instead of https; loopback only (a reverse proxy on the same host)."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose X-Forwarded-For is believed; from anybody else the header is ignored."""
    requests_per_minute: int = 600
    opens_per_hour: int = 120
    body_seconds: float = 10.0
    """A body that is not whole by then is answered 408."""
    purge_seconds: float = 60.0
    history_days: int = 7
    """How long metadata of an ended tunnel is kept (id, times, who answered); its messages are gone at its end. 0: not at all."""
    store_bytes: int = 256 * 1024 * 1024
    """The store never grows beyond this; further writes are answered 507, reads go on."""
    store_patience: float = 2.0
    """Seconds to wait for a store that another process has locked, or that does not answer; then 503."""

    def __post_init__(self) -> None:
        if self.plain and not is_loopback(self.host):
            raise UsageError(
                "api.plain",
                f"plain http on {self.host} would show admin tokens to the network",
                next_step="Listen on 127.0.0.1, or serve https.",
            )
        if not 0 <= self.history_days <= MOST_HISTORY:
            raise UsageError("api.history", f"metadata of ended tunnels is kept for 0 to {MOST_HISTORY} days")
        if self.key is not None and self.certificate is None:
            raise UsageError("api.tls", "a TLS key was given without its certificate", next_step="Give both files.")

    @property
    def history(self) -> timedelta:
        return timedelta(days=self.history_days)

    @property
    def store_path(self) -> Path:
        return self.state_dir / "mailbox.sqlite"


def is_loopback(host: str) -> bool:
    """Tell whether `host` can only be this machine; names other than `localhost` are not looked up."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
