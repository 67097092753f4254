"""Requests to one Headscale: the right certificate first, then the key; bounded, repeated only where that is safe.

The API key travels in a header, only inside TLS whose other end was verified, and never to `/health` or `/version`. Nothing is logged.
"""

from __future__ import annotations

import re
import ssl
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from support_tunnel.adapters.headscale.answers import Answer, garbage, refusal
from support_tunnel.adapters.http_proxy import HttpProxy, Route
from support_tunnel.adapters.tls_pin import authority_context, parse_fingerprint, pinned_context
from support_tunnel.core.errors import CoordinatorError, HostError, SupportTunnelError, UsageError
from support_tunnel.core.ports import Clock
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for

if TYPE_CHECKING:
    import httpx

__all__ = ["Line", "Trust"]

ONE_REQUEST = 10.0
"""Seconds to connect, to send, and between two bytes of an answer."""
LONGEST = 60.0
"""Seconds for one whole request: a policy of a thousand tickets is checked in a few."""
MAX_ANSWER = 32 * 1024 * 1024
"""Bytes; ten thousand nodes are about 10 MiB."""
TRANSIENT = frozenset({408, 429, 502, 503, 504})
"""Statuses of proxies and of servers that are starting, after which the same request may succeed."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Who may answer: one certificate (SHA-256), or whom one private authority (PEM) vouches for; neither: a public authority."""

    fingerprint: str | None = None
    authority: str | None = None

    def verifier(self) -> ssl.SSLContext | bool:
        """What httpx takes as `verify`. Raises UsageError `headscale.trust`, `api.fingerprint`, `api.authority`."""
        if self.fingerprint is not None and self.authority is not None:
            raise UsageError(
                "headscale.trust",
                "a fingerprint and an authority were given for the Headscale server",
                next_step="Give one.",
            )
        if self.fingerprint is not None:
            digest = parse_fingerprint(
                self.fingerprint, copied_from="Copy the fingerprint of the Headscale server again."
            )
            return pinned_context(digest, another=_another)
        return True if self.authority is None else authority_context(self.authority)


class _Silence(Exception):
    def __init__(self, trouble: SupportTunnelError) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


class _NotSent(_Silence):
    """No connection was made, so the server has seen nothing of the request."""


class _Lost(_Silence):
    """The connection broke after the request may have arrived."""


class Line:
    """`patience` is how many seconds a server that does not answer is asked again. Plain http is for this machine itself."""

    def __init__(
        self, url: str, *, key: Secret[str], trust: Trust, clock: Clock, patience: float, proxy: HttpProxy | None
    ) -> None:
        self._url = _checked_url(url, pinned=trust != Trust())
        self._key = _checked_key(key)
        self._verify = trust.verifier()
        self._clock = clock
        self._patience = patience
        self._proxy = proxy if self._url.startswith("https:") else None
        self._client: httpx.Client | None = None
        self.certificate_end: datetime | None = None
        """Of the certificate that was shown last and was found good, where it was looked at by an authority's word."""

    def read(self, path: str, *, with_key: bool = True) -> Answer:
        """GET until something definite comes back; any status."""
        answer, _ = self._ask("GET", path, None, repeat=True, with_key=with_key)
        return answer

    def change(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[Answer, bool]:
        """Send what may be sent twice; any status, and whether an earlier sending may have arrived already."""
        return self._ask(method, path, body, repeat=True)

    def create(self, path: str, body: Mapping[str, Any]) -> Answer:
        """POST once. Raises CoordinatorError `headscale.unsure` when it may have arrived and no answer came."""
        answer, _ = self._ask("POST", path, body, repeat=False)
        if answer.status in TRANSIENT or (answer.status >= 500 and answer.said() is None):
            raise _unsure() from refusal(answer)
        return answer

    def disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, repeat: bool, with_key: bool = True
    ) -> tuple[Answer, bool]:
        trouble: list[SupportTunnelError] = []
        may_have_arrived = False

        def attempt() -> tuple[Answer, bool] | None:
            nonlocal may_have_arrived
            try:
                answer = self._send(method, path, body, with_key=with_key)
            except _Silence as error:
                lost = isinstance(error, _Lost)
                if lost and not repeat:
                    raise _unsure() from error
                trouble[:] = [error.trouble]
                may_have_arrived = may_have_arrived or lost
                return None
            if repeat and answer.status in TRANSIENT:
                trouble[:] = [refusal(answer)]
                may_have_arrived = True
                return None
            return answer, may_have_arrived

        try:
            return wait_for(
                attempt, what="Headscale", seconds=self._patience, clock=self._clock, first_pause=0.1, longest_pause=1.0
            )
        except HostError as error:
            if error.code == "wait.timeout" and trouble:
                raise trouble[0] from error
            raise

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None, *, with_key: bool) -> Answer:
        headers = {"Authorization": f"Bearer {self._key.reveal()}"} if with_key else {}
        give_up = self._clock.monotonic() + LONGEST
        route = Route()
        with (
            self._told_apart(route),
            self._connected().stream(
                method, self._url + path, json=body, headers=headers, extensions={"trace": route.follow}
            ) as got,
        ):
            self.certificate_end = _until(got)
            content = bytearray()
            # Raw and counted: an answer that unpacks to gigabytes is an attack, one that drips for hours another.
            for chunk in got.iter_raw():
                content += chunk
                if len(content) > MAX_ANSWER or self._clock.monotonic() > give_up:
                    raise garbage()
            return Answer(got.status_code, bytes(content), got.headers.get("date", ""))

    @contextmanager
    def _told_apart(self, route: Route) -> Iterator[None]:
        """Turn what httpx raises into _NotSent, _Lost, or an error that asking again does not mend."""
        import httpx

        try:
            yield
        except httpx.InvalidURL:
            raise _bad_url() from None
        except CoordinatorError as error:
            if error.code == "headscale.certificate":
                raise self._by_whom(error) from error
            raise
        except httpx.TransportError as error:
            fault = self._proxy.fault(error, route) if self._proxy else None
            if fault is not None and fault.code == "proxy.refused":
                raise fault from error
            if _is_untrusted(error):
                raise self._by_whom(_untrusted()) from error
            before = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError)
            trouble = fault if fault and fault.code == "proxy.unreachable" else self._silent(type(error).__name__)
            raise (_NotSent if before else _Lost)(trouble) from error

    def _by_whom(self, found: CoordinatorError) -> CoordinatorError:
        """Of a wrong certificate: a proxy on the way is the first that could have shown it."""
        if self._proxy is None:
            return found
        return CoordinatorError(
            found.code,
            f"{found.message} (it came through the proxy {self._proxy})",
            next_step=f"A proxy that opens TLS must let this address pass unopened. {found.next_step}",
        )

    def _silent(self, how: str) -> CoordinatorError:
        through = f" through the proxy {self._proxy}" if self._proxy else ""
        return CoordinatorError(
            "headscale.unavailable",
            f"the Headscale server does not answer{through} ({how})",
            next_step="Check its address, the network, and that it runs (`systemctl status headscale` on the server).",
        )

    def _connected(self) -> httpx.Client:
        if self._client is None:
            import httpx

            self._client = httpx.Client(
                verify=self._verify,
                trust_env=False,  # a proxy or CA file named in the environment must not see or change this
                proxy=self._proxy.for_client() if self._proxy else None,
                follow_redirects=False,
                timeout=httpx.Timeout(ONE_REQUEST, read=LONGEST),
                headers={"Accept-Encoding": "identity", "User-Agent": "support-tunnel"},
            )
            weakref.finalize(self, self._client.close)
        return self._client


def _until(got: httpx.Response) -> datetime | None:
    """What Python keeps of a certificate that it has verified; of one that is pinned it keeps nothing."""
    stream = got.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream is not None else None
    shown = tls.getpeercert() if tls is not None else None
    ends = shown.get("notAfter") if shown else None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if ends else None


def _unsure() -> CoordinatorError:
    return CoordinatorError(
        "headscale.unsure",
        "the connection broke, and the Headscale server may or may not have done this",
        next_step="Look at its list before trying again; a key whose text was lost expires by itself.",
    )


def _another() -> CoordinatorError:
    return CoordinatorError(
        "headscale.certificate",
        "the Headscale server shows another certificate than the pinned one; somebody may be answering for it",
        next_step="Ask its operator for the fingerprint by another way; do not just replace the pin.",
    )


def _untrusted() -> CoordinatorError:
    return CoordinatorError(
        "headscale.certificate",
        "the authority that is trusted here does not vouch for the Headscale server's certificate",
        next_step="Compare name, dates and authority of its certificate with the address and the authority that you gave.",
    )


def _checked_url(url: str, *, pinned: bool) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _bad_url() from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
        raise _bad_url()
    if parts.scheme == "http" and (pinned or host not in ("127.0.0.1", "::1")):
        raise UsageError(
            "headscale.plain", "plain http would show the API key to the network", next_step="Use its https:// address."
        )
    return url.rstrip("/")


def _bad_url() -> UsageError:
    return UsageError("headscale.url", "the Headscale server's address is not of the form https://name:port")


def _checked_key(key: Secret[str]) -> Secret[str]:
    """Refuse what cannot be a key before it becomes a header: a newline in it would be a header of its own."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{8,200}", key.reveal()):
        raise UsageError(
            "headscale.key",
            "that is no Headscale API key",
            next_step="Make one on the server: headscale apikeys create",
        )
    return key


def _is_untrusted(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
