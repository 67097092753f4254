"""What ends a session works whatever has become of the settings; what opens one does not."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from support_tunnel.cli import device_settings, wiring_device
from support_tunnel.cli.device_settings import DeviceSettings
from support_tunnel.cli.wiring_device import device_ports, ending_ports, keeper_command
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the device's tool needs root")


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "config.ini"
    file.write_text("[device]\napi = https://a.example\npre-down-script = /opt/down\n")
    file.chmod(0o666)
    real = device_settings.load_device_settings
    monkeypatch.setattr(wiring_device, "load_device_settings", lambda environ: real({}, config=file))
    return file


def test_a_session_is_ended_without_api_and_scripts(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError):
        device_ports()
    ports = ending_ports()
    assert str(broken) in capsys.readouterr().err
    with pytest.raises(HostError) as away:
        ports.mailbox_for(Secret("x")).close(TunnelId(secrets.token_hex(16)))
    assert away.value.code == "api.unreachable"


def test_the_keeper_uses_the_api_that_the_session_was_opened_with() -> None:
    words = keeper_command(DeviceSettings("https://a.example", "ab", "till"))
    assert {"SUPPORT_TUNNEL_API=https://a.example", "SUPPORT_TUNNEL_API_FINGERPRINT=ab"} < set(words)
    assert words[-1] == "support_tunnel.cli.keeper"
