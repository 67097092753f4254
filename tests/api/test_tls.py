"""Who gets a token: the pinned API over TLS, and nobody else, whatever the address, the environment or the token say."""

from __future__ import annotations

import hashlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.adapters.tls_pin import parse_fingerprint, pinned_context
from support_tunnel.api.certificate import ensure_certificate, fingerprint
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.settings import ApiSettings
from support_tunnel.core.errors import HostError, UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock

TUNNEL = TunnelId("ab" * 16)

SERVES = """
import sys
from pathlib import Path
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.api.serve import serve
from support_tunnel.api.settings import ApiSettings

serve(ApiSettings(Path(sys.argv[1]), port=0), clock=SystemClock(), announce=lambda line: print(line, flush=True))
"""


def face(url: str, pin: str | None = None, patience: float = 0) -> HttpMailbox:
    return HttpMailbox(url, clock=SystemClock(), fingerprint=pin, patience=patience)


def test_another_certificate_gets_no_byte_of_the_request(tmp_path: Path, clock: ManualClock) -> None:
    """The impostor is a whole TLS server with a certificate of its own, and records what reaches it inside TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ensure_certificate(tmp_path / "impostor", ["127.0.0.1"], clock))
    real = fingerprint(ensure_certificate(tmp_path / "real", ["127.0.0.1"], clock))
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def impostor() -> None:
            raw, _ = listener.accept()
            with context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=True) as peer:
                try:
                    heard.append(peer.recv(65536))
                except ConnectionResetError:
                    heard.append(b"")

        thread = threading.Thread(target=impostor)
        thread.start()
        with (
            face(f"https://127.0.0.1:{listener.getsockname()[1]}", real, patience=5) as device,
            pytest.raises(HostError, match="somebody may be answering for the API") as refused,
        ):
            device.messages(TUNNEL, after=0, wait=0)
        thread.join()
    assert (refused.value.code, heard) == ("api.pin", [b""])


def test_there_is_no_way_around_the_check() -> None:
    with pytest.raises(NotImplementedError):
        pinned_context(bytes(32)).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())


def test_the_self_made_certificate_stays_and_a_pin_may_be_written_in_any_usual_way(
    run_api: Callable[..., RunningApi],
) -> None:
    first = run_api()
    first.stop()
    api = run_api()
    assert api.fingerprint == first.fingerprint
    pin = api.fingerprint or ""
    for written in (pin, pin.upper(), "sha256:" + pin, " " + ":".join(pin[i : i + 2] for i in range(0, 64, 2)) + "\n"):
        with face(api.url, written) as device, pytest.raises(WrongState) as reached:
            device.close(TUNNEL)
        assert reached.value.code == "tunnel.unknown"


def test_without_a_pin_an_unknown_authority_is_refused(run_api: Callable[..., RunningApi]) -> None:
    with face(run_api().url, patience=5) as device, pytest.raises(HostError) as refused:
        device.close(TUNNEL)
    assert refused.value.code == "api.certificate"


def test_an_operators_own_certificate_is_served(
    run_api: Callable[..., RunningApi], tmp_path: Path, clock: ManualClock
) -> None:
    own = ensure_certificate(tmp_path / "own", ["localhost"], clock)
    api = run_api(certificate=own, names=("localhost",))
    with face(api.url, fingerprint(own)) as device:
        device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
    assert not (tmp_path / "api" / "tls.pem").exists()


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, clock: ManualClock) -> None:
    path = ensure_certificate(tmp_path, ["localhost"], clock)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    path.chmod(0o640)
    with pytest.raises(UsageError) as refused:
        ensure_certificate(tmp_path, ["localhost"], clock)
    assert refused.value.code == "api.tls"


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 33, "xy" * 32, "sha1:" + "ab" * 32])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_fingerprint(text)
    assert refused.value.code == "api.fingerprint"


@pytest.mark.parametrize(
    ("url", "pin", "code"),
    [
        ("http://api.example", None, "api.plain"),
        ("http://192.0.2.1:80", None, "api.plain"),
        ("http://127.0.0.1.example", None, "api.plain"),
        ("http://127.0.0.1", "ab" * 32, "api.plain"),
        ("ftp://api.example", None, "api.url"),
        ("api.example", None, "api.url"),
        ("https://", None, "api.url"),
        ("https://user:pw@api.example", None, "api.url"),
        ("https://api.example/?x=1", None, "api.url"),
        ("https://api.example:99999", None, "api.url"),
    ],
)
def test_an_address_that_would_give_tokens_away_is_refused(url: str, pin: str | None, code: str) -> None:
    with pytest.raises(UsageError) as refused:
        face(url, pin)
    assert refused.value.code == code


def test_plain_http_is_for_loopback_on_the_servers_side_too(run_api: Callable[..., RunningApi], tmp_path: Path) -> None:
    with face(run_api(plain=True).url) as device:
        device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
    with pytest.raises(UsageError) as refused:
        ApiSettings(tmp_path, host="0.0.0.0", plain=True)  # noqa: S104 - what must be refused
    assert refused.value.code == "api.plain"


def test_a_token_cannot_become_a_header_of_its_own() -> None:
    with pytest.raises(UsageError) as refused:
        HttpMailbox("https://api.example", clock=SystemClock(), admin_token=Secret("x\r\nHost: evil"))
    assert refused.value.code == "api.token"


def test_proxies_of_the_environment_are_not_asked(
    run_api: Callable[..., RunningApi], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    api = run_api()
    with face(api.url, api.fingerprint) as device:
        device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)


def test_the_service_announces_what_clients_need_and_ends_when_told(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVES, str(tmp_path / "api")]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            url, pin = (process.stdout.readline().rstrip("\n").split(": ")[1] for _ in range(2))
            with face(url, pin, patience=20) as device:
                device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
            process.terminate()
            assert process.wait(timeout=60) == -signal.SIGTERM
        finally:
            process.kill()


def test_the_device_token_is_sent_to_nobody_in_clear(run_api: Callable[..., RunningApi]) -> None:
    api = run_api()
    with face(api.url, api.fingerprint) as device:
        token = device.device_token.reveal()
        assert token not in repr(device.__dict__)
        device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
    row = api.store.tunnel(TUNNEL, ManualClock().now())
    assert row is not None
    assert row.device_sha256 == hashlib.sha256(token.encode()).digest()
