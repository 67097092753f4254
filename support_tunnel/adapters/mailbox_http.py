"""The mailbox as device and admin see it over HTTPS. It carries sealed bytes and believes nothing that comes back.

Every call may be repeated: PUT and POST carry the identical bytes and the API keeps one copy, so a lost reply is asked for
again. Tokens travel in headers only, never in a URL, and only after the certificate was checked.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from support_tunnel.adapters.http_proxy import HttpProxy, Route
from support_tunnel.adapters.mailbox_answers import (
    MAX_ANSWER,
    MAX_BLOB,
    TRANSIENT,
    Answer,
    closed,
    read_messages,
    read_tunnels,
    refusal,
)
from support_tunnel.adapters.tls_pin import parse_fingerprint, pinned_context
from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import LONGEST_LIFE, LONGEST_POLL, Blob, Clock, Slot, TunnelRow
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpMailbox"]

ONE_REQUEST = 10.0
"""Seconds for connect, send and each read of a request that does not wait."""
_AGAIN = {"api.unreachable", "proxy.unreachable"}
_CERTIFICATE = {"api.pin", "api.certificate"}


class HttpMailbox:
    """Implements `ports.Mailbox`: the admin's face with `admin_token` (and `claim` for one tunnel), else the device's.

    Without `fingerprint` the certificate must come from a public authority. `patience` is how many seconds an API that
    does not answer is asked again. Plain http is for this machine itself, so no `proxy` is asked for it. A device keeps `device_token` for as long as its tunnel: another process of it needs it.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        fingerprint: str | None = None,
        device_token: Secret[str] | None = None,
        admin_token: Secret[str] | None = None,
        claim: Secret[bytes] | None = None,
        patience: float = 10.0,
        proxy: HttpProxy | None = None,
    ) -> None:
        self._url = _checked_url(url, pinned=fingerprint is not None)
        self._proxy = proxy if urlsplit(self._url).scheme == "https" else None
        self._pin = None if fingerprint is None else parse_fingerprint(fingerprint)
        self.device_token = _checked_token(device_token or Secret(secrets.token_urlsafe(32)))
        self._admin_token = None if admin_token is None else _checked_token(admin_token)
        self._claim = claim
        self._clock = clock
        self._patience = patience
        self._client: httpx.Client | None = None

    def open(self, tunnel: TunnelId, offer: bytes, *, claim: Secret[bytes], ttl: int) -> None:
        """Device: put the offer. Raises WrongState `tunnel.exists` when the id holds another one."""
        if not 1 <= ttl <= LONGEST_LIFE:
            raise UsageError("api.ttl", "a tunnel lives 1 second to 24 hours", next_step="Ask for less time.")
        body = {
            "offer": _base64(offer),
            "device_token_sha256": hashlib.sha256(self.device_token.reveal().encode()).hexdigest(),
            "claim_sha256": hashlib.sha256(claim.reveal()).hexdigest(),
            "ttl": ttl,
        }
        self._call("PUT", f"/v1/tunnels/{tunnel}", body=body, headers={})

    def post(self, tunnel: TunnelId, slot: Slot, data: bytes) -> None:
        """Append one message. Raises WrongState `answer.late`, `api.slot`, `tunnel.closed`, `tunnel.unknown`."""
        self._call("POST", f"/v1/tunnels/{tunnel}/messages", body={"slot": slot, "blob": _base64(data)})

    def messages(self, tunnel: TunnelId, *, after: int, wait: float) -> Sequence[Blob]:
        """Messages above `after`. Raises WrongState `tunnel.closed` once a closed tunnel has no more of them."""
        deadline = self._clock.monotonic() + wait

        def poll() -> list[Blob] | None:
            hold = min(max(0.0, deadline - self._clock.monotonic()), LONGEST_POLL)
            path = f"/v1/tunnels/{tunnel}/messages?after={after}&wait={hold:.3f}"
            is_closed, blobs = read_messages(self._call("GET", path, hold=hold), after)
            if is_closed and not blobs:
                raise closed()
            return blobs or None

        try:
            # The growing pause between polls is for an API that answers "nothing" at once instead of holding them.
            return wait_for(poll, what="a message", seconds=wait, clock=self._clock)
        except HostError as error:
            if error.code == "wait.timeout":
                return []
            raise

    def close(self, tunnel: TunnelId) -> None:
        """Mark the tunnel closed; closing twice is fine."""
        self._call("POST", f"/v1/tunnels/{tunnel}/stop", body={})

    def tunnels(self) -> Sequence[TunnelRow]:
        """Open tunnels of the organisation; for admin tokens with the `list` right."""
        if self._admin_token is None:
            raise UsageError("api.token", "listing tunnels needs an admin token", next_step="Set it in your settings.")
        return read_tunnels(self._call("GET", "/v1/tunnels"))

    def health(self) -> str:
        """Ask, with no token, whether this is an API that works; return its Date header."""
        answer = self._call("GET", "/healthz", headers={})
        answer.json()
        return answer.date

    def disconnect(self) -> None:
        """Drop the connection; the next call makes a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def __enter__(self) -> HttpMailbox:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.disconnect()

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        hold: float = 0.0,
    ) -> Answer:
        """Send until something definite comes back, and return only a success."""
        shown = self._credentials() if headers is None else headers
        last: list[SupportTunnelError] = []

        def attempt() -> Answer | None:
            try:
                answer = self._send(method, path, body, shown, hold)
            except HostError as error:
                if error.code in _CERTIFICATE and self._proxy:
                    raise self._proxy.suspected(error) from error
                if error.code not in _AGAIN:
                    raise
                last[:] = [error]
                return None
            if answer.status in (200, 201):
                return answer
            refused = refusal(answer, admin=self._admin_token is not None)
            if answer.status not in TRANSIENT:
                raise refused
            last[:] = [refused]
            return None

        try:
            return wait_for(
                attempt,
                what="the API",
                seconds=self._patience + hold,
                clock=self._clock,
                first_pause=0.1,
                longest_pause=2.0,
            )
        except HostError as error:
            if error.code == "wait.timeout" and last:
                raise last[0] from error
            raise

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], hold: float
    ) -> Answer:
        import httpx

        timeout = httpx.Timeout(ONE_REQUEST, read=ONE_REQUEST + hold)
        give_up = self._clock.monotonic() + 2 * ONE_REQUEST + hold
        route = Route()
        try:
            send, followed = self._connected().stream, {"trace": route.follow}
            url = self._url + path
            with send(method, url, json=body, headers=headers, timeout=timeout, extensions=followed) as got:
                content = bytearray()
                # Raw, because an answer that unpacks to gigabytes is an attack; one that drips for hours is another.
                for chunk in got.iter_raw():
                    content += chunk
                    if len(content) > MAX_ANSWER or self._clock.monotonic() > give_up:
                        raise HostError("api.answer", "the API's answer does not end")
                return Answer(got.status_code, bytes(content), got.headers.get("date", ""))
        except httpx.InvalidURL:
            raise _bad_url() from None
        except httpx.TransportError as error:
            raise self._failed(error, route) from error

    def _failed(self, error: httpx.TransportError, route: Route) -> HostError:
        if self._proxy and (fault := self._proxy.fault(error, route)):
            return fault
        if _is_untrusted(error):
            return HostError(
                "api.certificate",
                "no authority this machine trusts vouches for the API's certificate",
                next_step="Give the API's fingerprint, or a certificate from a public authority to the API.",
            )
        through = f" through the proxy {self._proxy}" if self._proxy else ""
        return HostError(
            "api.unreachable",
            f"the API does not answer{through} ({type(error).__name__})",
            next_step="Check network and URL.",
        )

    def _connected(self) -> httpx.Client:
        if self._client is None:
            import httpx

            self._client = httpx.Client(
                verify=True if self._pin is None else pinned_context(self._pin),
                trust_env=False,  # a proxy or CA file named in root's environment must not see or change this
                proxy=self._proxy.for_client() if self._proxy else None,
                follow_redirects=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "support-tunnel"},
            )
            weakref.finalize(self, self._client.close)
        return self._client

    def _credentials(self) -> Mapping[str, str]:
        token = self._admin_token or self.device_token
        headers = {"Authorization": f"Bearer {token.reveal()}"}
        if self._admin_token is not None and self._claim is not None:
            headers["Support-Tunnel-Claim"] = base64.b64encode(self._claim.reveal()).decode()
        return headers


def _checked_url(url: str, *, pinned: bool) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _bad_url() from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
        raise _bad_url()
    if parts.scheme == "http" and (pinned or not _is_loopback(host)):
        raise UsageError(
            "api.plain", "plain http would show tokens to the network", next_step="Use the API's https:// address."
        )
    return url.rstrip("/")


def _bad_url() -> UsageError:
    return UsageError("api.url", "the API's address is not of the form https://name:port")


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _checked_token(token: Secret[str]) -> Secret[str]:
    """Refuse what cannot be a token before it becomes a header: a newline in it would be a header of its own."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,512}", token.reveal()):
        raise UsageError("api.token", "the token has characters no token has", next_step="Copy it again.")
    return token


def _base64(data: bytes) -> str:
    if not 0 < len(data) <= MAX_BLOB:
        raise UsageError("api.size", f"a message holds 1 to {MAX_BLOB} bytes")
    return base64.b64encode(data).decode()


def _is_untrusted(error: BaseException) -> bool:
    import ssl

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
