"""Through an HTTP proxy that a setting names: the pinned TLS holds from end to end, and what is wrong with the proxy is said."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from support_tunnel.adapters.api_look import HttpApiLook
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.http_proxy import HttpProxy
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.adapters.webhook_http import Webhook
from support_tunnel.api.certificate import ensure_certificate, fingerprint
from support_tunnel.api.serve import RunningApi
from support_tunnel.core.device_health import blamed
from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from support_tunnel.flows.device.doctor import examine
from support_tunnel.testing.clock import ManualClock
from support_tunnel.testing.shells import Answer, ScriptedShell
from tests.connect_proxy import ConnectProxy, connect_proxy

TUNNEL = TunnelId("ab" * 16)
SETTING = "the setting of the test"

StartApi = Callable[..., RunningApi]


def through(proxy: ConnectProxy, *, user: str = "", password: str = "") -> HttpProxy:
    address = proxy.address.replace("://", f"://{user}@") if user else proxy.address
    return HttpProxy.parse(address, setting=SETTING, password=Secret(password) if password else None)


def face(api: RunningApi, proxy: HttpProxy, *, pin: str | None = "", patience: float = 0) -> HttpMailbox:
    pin = api.fingerprint if pin == "" else pin
    return HttpMailbox(api.url, clock=SystemClock(), fingerprint=pin, proxy=proxy, patience=patience)


def refusal(api: RunningApi, proxy: HttpProxy, *, pin: str | None = "", patience: float = 0) -> SupportTunnelError:
    with face(api, proxy, pin=pin, patience=patience) as device, pytest.raises(HostError) as refused:
        device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
    return refused.value


def test_messages_pass_and_the_proxy_reads_none(run_api: StartApi) -> None:
    api = run_api()
    with connect_proxy() as proxy, face(api, through(proxy)) as device:
        device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
        device.post(TUNNEL, "confirm", b"a sealed message")
        seen = "".join(proxy.heads).encode() + bytes(proxy.heard)
    assert [head.split("\r\n")[0] for head in proxy.heads] == [f"CONNECT {api.url.removeprefix('https://')} HTTP/1.1"]
    assert len(proxy.heard) > 500
    for hidden in (device.device_token.reveal().encode(), str(TUNNEL).encode(), b"offer", b"Authorization"):
        assert hidden not in seen


def test_a_password_goes_to_the_proxy_and_to_nobody_else(run_api: StartApi) -> None:
    api, password = run_api(), secrets.token_hex(8)
    with connect_proxy(login=f"till:{password}") as proxy:
        with face(api, through(proxy, user="till", password=password)) as device:
            device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
            assert password not in repr(device.__dict__)
        wrong = refusal(api, through(proxy, user="till", password="other"))
        nobody = refusal(api, through(proxy))
    for refused in (wrong, nobody):
        assert (refused.code, SETTING in refused.next_step) == ("proxy.refused", True)
        assert "wants another user name or password" in refused.message
    assert password not in wrong.message + wrong.next_step


@pytest.mark.parametrize("pinned", [True, False])
def test_a_proxy_that_answers_in_place_of_the_api_is_refused(
    run_api: StartApi, tmp_path: Path, clock: ManualClock, pinned: bool
) -> None:
    """It is a whole API, with a certificate of its own."""
    other = ensure_certificate(tmp_path / "other", ["127.0.0.1"], clock)
    impostor, api = run_api(certificate=other, state_dir=tmp_path / "impostor"), run_api()
    assert fingerprint(other) != api.fingerprint
    host, _, port = impostor.url.removeprefix("https://").rpartition(":")
    with connect_proxy(instead=(host, int(port))) as proxy:
        refused = refusal(api, through(proxy), pin="" if pinned else None, patience=5)
    assert refused.code == ("api.pin" if pinned else "api.certificate")
    assert f"the proxy 127.0.0.1:{proxy.port}" in refused.message
    assert SETTING in refused.next_step
    assert impostor.store.tunnel(TUNNEL, clock.now()) is None
    assert len(proxy.heads) == 1, "a wrong certificate is not asked again"


@pytest.mark.parametrize(
    ("says", "code", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "proxy.refused", "lets nobody through"),
        (b"HTTP/1.1 302 \x1b[31mred\r\nLocation: http://login/\r\n\r\n", "proxy.refused", "status 302"),
        (b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n", "api.unreachable", "does not reach the API"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "proxy.unreachable", "does not answer as a proxy"),
        (b"HTTP/1.1 200 Yes\r\n\r\nnot TLS at all", "api.unreachable", "does not answer through the proxy"),
    ],
)
def test_what_a_proxy_says_instead_is_named(run_api: StartApi, says: bytes, code: str, words: str) -> None:
    with connect_proxy(says=says) as proxy:
        refused = refusal(run_api(), through(proxy))
    assert (refused.code, words in refused.message) == (code, True), refused.message
    assert f"the proxy 127.0.0.1:{proxy.port}" in refused.message
    assert "\x1b" not in refused.message
    assert blamed(refused) == code.partition(".")[0]


def test_a_proxy_that_is_away_and_an_api_that_is_away_behind_one(run_api: StartApi) -> None:
    api = run_api()
    with connect_proxy() as proxy:
        api.stop()
        behind = refusal(api, through(proxy))
    away = refusal(api, through(proxy))
    assert (behind.code, away.code) == ("api.unreachable", "proxy.unreachable")
    assert SETTING in away.next_step


def test_a_proxy_that_is_away_for_a_moment_is_asked_again(run_api: StartApi) -> None:
    api = run_api()
    with connect_proxy() as gone:
        pass
    refused = refusal(api, through(gone), patience=1)
    assert refused.code == "proxy.unreachable"
    with connect_proxy(says=b"HTTP/1.1 502 Not yet\r\nContent-Length: 0\r\n\r\n") as proxy:
        refusal(api, through(proxy), patience=1)
    assert len(proxy.heads) > 1


def test_an_answer_lost_after_the_first_is_the_apis(run_api: StartApi) -> None:
    """A connection that is used again never was "at the proxy"."""
    api = run_api()
    with connect_proxy() as proxy, face(api, through(proxy)) as device:
        device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
        device.post(TUNNEL, "confirm", b"x")
        assert len(proxy.heads) == 1
        api.stop()
        with pytest.raises(HostError) as lost:
            device.post(TUNNEL, "ready", b"x")
    assert lost.value.code == "api.unreachable"


def test_plain_http_is_this_machine_and_goes_past_the_proxy(run_api: StartApi) -> None:
    api = run_api(plain=True)
    with connect_proxy(says=b"HTTP/1.1 200 Mine\r\n\r\n") as proxy:
        with face(api, through(proxy), pin=None) as device:
            device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
        Webhook(f"{api.url}/healthz", proxy=through(proxy))
    assert proxy.heads == []


def test_the_webhook_takes_the_proxy_too() -> None:
    with connect_proxy(says=b"HTTP/1.1 403 No\r\n\r\n") as proxy, pytest.raises(HostError) as failed:
        Webhook("https://chat.example/secret", proxy=through(proxy)).tell({"event": "waiting"})
    assert proxy.heads[0].startswith("CONNECT chat.example:443 ")
    assert f"the proxy 127.0.0.1:{proxy.port} answers with status 403" in failed.value.message
    assert "secret" not in failed.value.message


def test_the_doctors_look_takes_it_and_needs_no_name_that_only_the_proxy_knows() -> None:
    with connect_proxy() as proxy:
        look = HttpApiLook(
            "https://api.nowhere.invalid", clock=SystemClock(), fingerprint="ab" * 32, proxy=through(proxy)
        )
        with pytest.raises(HostError):
            look.see()
        look.send_udp()
    assert proxy.heads[0].startswith("CONNECT api.nowhere.invalid:443 ")


@pytest.mark.parametrize(
    ("says", "failing"),
    [
        (b"", None),
        (b"SSH-2.0-x\r\n", "proxy"),
        (b"HTTP/1.1 403 No\r\n\r\n", "proxy"),
        (b"HTTP/1.1 502 No\r\n\r\n", "api"),
    ],
)
def test_a_devices_doctor_names_what_is_broken(run_api: StartApi, says: bytes, failing: str | None) -> None:
    api = run_api()
    nothing = ScriptedShell([Answer("", Completed(0, "", ""))])
    with connect_proxy(says=says) as proxy:
        look = HttpApiLook(api.url, clock=SystemClock(), fingerprint=api.fingerprint, proxy=through(proxy))
        checks = {one.name: one for one in examine(nothing, lambda: look, log="/var/log")}
    assert {name for name in ("proxy", "api") if name in checks and checks[name].state == "fail"} == {failing} - {None}
    if failing:
        assert f"the proxy 127.0.0.1:{proxy.port}" in checks[failing].said
        assert SETTING in checks[failing].fix


@pytest.mark.parametrize(
    "address",
    [
        "proxy.example:3128",
        "https://proxy.example:3128",
        "socks5://proxy.example:1080",
        "http://proxy.example",
        "http://:3128",
        "http://proxy.example:99999",
        "http://proxy.example:3128/path",
        "http://a%0d%0ab@proxy.example:3128",
        "http://a%3ab@proxy.example:3128",
    ],
)
def test_what_is_no_proxy_is_refused(address: str) -> None:
    with pytest.raises(UsageError) as refused:
        HttpProxy.parse(address, setting=SETTING)
    assert (refused.value.code, SETTING in refused.value.message) == ("config.proxy", True)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    password = secrets.token_hex(8)
    with pytest.raises(UsageError) as refused:
        HttpProxy.parse(f"http://till:{password}@proxy.example:3128", setting=SETTING)
    assert refused.value.code == "config.proxy"
    assert password not in refused.value.message + refused.value.next_step
