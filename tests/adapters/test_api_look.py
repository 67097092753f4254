"""The doctor's look at the API, over real TLS: there, the right one, and how far its clock is from ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from support_tunnel.adapters.api_look import HttpApiLook
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.settings import ApiSettings
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.ports import ApiLook, Completed
from support_tunnel.flows.device.doctor import examine
from support_tunnel.testing.shells import Answer, ScriptedShell


class Apart(SystemClock):
    """A machine whose clock is an hour behind."""

    def now(self) -> datetime:
        return super().now() - timedelta(hours=1)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningApi]:
    with RunningApi(ApiSettings(state_dir=tmp_path / "api", port=0), clock=SystemClock()) as running:
        yield running


def look(api: RunningApi, *, clock: SystemClock | None = None, pin: str | None = None) -> ApiLook:
    return HttpApiLook(api.url, clock=clock or SystemClock(), fingerprint=pin or api.fingerprint)


def states(api: ApiLook) -> dict[str, str]:
    nothing = ScriptedShell([Answer("", Completed(0, "", ""))])
    checks = {one.name: one for one in examine(nothing, lambda: api, log="/var/log")}
    assert all(one.fix for one in checks.values() if one.state == "fail")
    return {name: checks[name].state for name in ("config", "api", "clock", "udp") if name in checks}


def test_all_is_well(api: RunningApi) -> None:
    assert states(look(api)) == dict.fromkeys(("config", "api", "clock", "udp"), "ok")


def test_clocks_apart(api: RunningApi) -> None:
    assert states(look(api, clock=Apart())) == {"config": "ok", "api": "ok", "clock": "fail", "udp": "ok"}


def test_another_certificate_than_the_pinned_one(api: RunningApi) -> None:
    with pytest.raises(HostError) as refused:
        look(api, pin="ab" * 32).see()
    assert refused.value.code == "api.pin"
    assert states(look(api, pin="ab" * 32)) == {"config": "ok", "api": "fail", "udp": "ok"}


def test_an_api_that_is_away(api: RunningApi) -> None:
    away = HttpApiLook(re.sub(r"\d+$", "1", api.url), clock=SystemClock(), fingerprint=api.fingerprint)
    assert states(away) == {"config": "ok", "api": "fail", "udp": "ok"}


def test_settings_that_are_wrong_hide_nothing_else() -> None:
    def broken() -> NoReturn:
        raise UsageError("config.syntax", "config.ini: no", next_step="Mend it.")

    shell = ScriptedShell([Answer("", HostError("host.lost", "no shell"))])
    checks = {one.name: one.state for one in examine(shell, broken, log="/var/log", tailscale=broken)}
    assert checks == {"host": "fail", "mlkem": "ok", "config": "fail"}
