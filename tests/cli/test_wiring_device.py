"""What ends a session works whatever has become of the settings; what opens one does not."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from support_tunnel.cli.device import settings as device_settings
from support_tunnel.cli.device import wiring as wiring_device
from support_tunnel.cli.device.settings import DeviceSettings
from support_tunnel.cli.device.wiring import device_ports, ending_ports, keeper_command
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.hooks import HookContext
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.flows.device.ports import DevicePorts
from tests.connect_proxy import ConnectProxy, connect_proxy

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the device's tool needs root")


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "config.ini"
    file.write_text("[device]\napi = https://a.example\npre-down-script = /opt/down\n")
    file.chmod(0o666)
    real = device_settings.load_device_settings
    monkeypatch.setattr(wiring_device, "load_device_settings", lambda environ, **more: real({}, config=file, **more))
    return file


def test_a_session_is_ended_without_api_and_scripts(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError):
        device_ports()
    ports = ending_ports()
    assert str(broken) in capsys.readouterr().err
    with pytest.raises(HostError) as away:
        ports.mailbox_for(Secret("x")).close(TunnelId(secrets.token_hex(16)))
    assert away.value.code == "api.unreachable"


def test_a_device_that_was_told_no_api_looks_and_ends_with_its_scripts_and_says_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.ini"
    file.write_text("[device]\npre-down-script = /usr/bin/printenv SUPPORT_TUNNEL_ID\n")
    real = device_settings.load_device_settings
    monkeypatch.setattr(wiring_device, "load_device_settings", lambda environ, **more: real({}, config=file, **more))
    with pytest.raises(UsageError) as refused:
        device_ports()
    assert (refused.value.code, "inv install --api" in refused.value.next_step) == ("config.api", True)
    ports = ending_ports()
    assert capsys.readouterr().err == ""
    tunnel = TunnelId(secrets.token_hex(16))
    ran = ports.hooks.run("pre-down", HookContext(tunnel, "st-abababab", "fd00::2", "fd00::/64", "stabababab"))
    assert ran is not None
    assert ran.output == tunnel
    with pytest.raises(HostError) as away:
        ports.mailbox_for(Secret("x")).close(tunnel)
    assert away.value.message == "the settings name no API"


def test_the_keeper_uses_the_api_that_the_session_was_opened_with() -> None:
    words = keeper_command(DeviceSettings("https://a.example", "ab", "till"))
    assert {"SUPPORT_TUNNEL_API=https://a.example", "SUPPORT_TUNNEL_API_FINGERPRINT=ab"} < set(words)
    assert words[-1] == "support_tunnel.cli.device.keeper"


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[tuple[ConnectProxy, DeviceSettings]]:
    """A device whose way to the API is a proxy with a password."""
    password = secrets.token_hex(8)
    file = tmp_path / "proxy-password"
    file.write_text(password + "\n")
    file.chmod(0o600)
    with connect_proxy(login=f"till:{password}", instead=("127.0.0.1", 1)) as proxy:
        address = proxy.address.replace("://", "://till@")
        yield proxy, DeviceSettings("https://api.invalid", "ab" * 32, "", proxy=address, proxy_password_file=str(file))


def answered(ports: DevicePorts) -> str:
    with pytest.raises(HostError) as away:
        ports.mailbox_for(Secret("x"), patient=False).close(TunnelId(secrets.token_hex(16)))
    return away.value.message


def test_a_device_asks_its_proxy(behind: tuple[ConnectProxy, DeviceSettings]) -> None:
    proxy, settings = behind
    assert "does not reach the API" in answered(device_ports(settings))
    assert proxy.heads[0].startswith("CONNECT api.invalid:443 ")


def test_the_keeper_asks_the_same_proxy_and_no_word_of_it_is_a_secret(
    behind: tuple[ConnectProxy, DeviceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, settings = behind
    words = keeper_command(settings)
    assert proxy.login.partition(":")[2] not in " ".join(words)
    for word in words:
        if word.startswith("SUPPORT_TUNNEL_"):
            monkeypatch.setenv(*word.split("=", 1))
    assert "does not reach the API" in answered(ending_ports())  # 407 would be another message
    assert proxy.heads[0].startswith("CONNECT api.invalid:443 ")


def test_a_session_is_ended_when_the_proxys_password_is_gone(
    behind: tuple[ConnectProxy, DeviceSettings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, settings = behind
    Path(settings.proxy_password_file).unlink()
    monkeypatch.setattr(wiring_device, "load_device_settings", lambda environ, **_: settings)
    with pytest.raises(UsageError) as refused:
        device_ports()
    assert refused.value.code == "file.read"
    assert answered(ending_ports()) == "the settings name no API"
    assert settings.proxy_password_file in capsys.readouterr().err
