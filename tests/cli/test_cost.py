"""`fab cost` as people and programs see it, over clouds that are folders."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.cli.admin import settings as admin_settings
from support_tunnel.cli.admin import wiring as wiring_admin
from support_tunnel.cli.admin.cost_task import cost
from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.core.errors import CloudError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import ServerSpec
from support_tunnel.core.spending import Rental
from support_tunnel.testing.fake_cloud import FakeCloud
from support_tunnel.testing.records import MemoryAccount

UNTIL = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    cheap, unpriced = FakeCloud(tmp_path / "cheap", hourly=0.25), FakeCloud(tmp_path / "unpriced")
    for cloud in (cheap, unpriced):
        tags = {"st-tunnel": "ab" * 16, "st-owner": "ann@desk", "st-expires": str(int(UNTIL.timestamp()))}
        cloud.create(ServerSpec("st-abababab", "", UNTIL, tags))
    account, now = MemoryAccount(), datetime.now(UTC)
    account.write(Rental(TunnelId("ab" * 16), "cheap", now, now + timedelta(seconds=3), 3600.0))
    account.write(Rental(TunnelId("cd" * 16), "unpriced", now, now + timedelta(hours=1), None))
    made = SimpleNamespace(clouds={"cheap": cheap, "unpriced": unpriced}, account=account, clock=SystemClock())
    monkeypatch.setattr(wiring_admin, "admin_ports", lambda _: made)
    monkeypatch.setattr(admin_settings, "load_admin_settings", lambda _: AdminSettings(spend_cap=20.0))
    return made


def test_for_people(ports: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    cost(Context())
    said = capsys.readouterr()
    head, first, second, now, month = said.out.splitlines()
    assert head.split() == ["CLOUD", "SERVER", "OWNER", "UNTIL", "USD/HOUR"]
    assert first.split() == [
        "cheap",
        "st-abababab",
        "ann@desk",
        *f"{UNTIL.astimezone():%Y-%m-%d %H:%M}".split(),
        "0.2500",
    ]
    assert second.split()[-1] == "?"
    assert now == "running now: 2, about 0.250 US dollars an hour"
    assert month.endswith(" US dollars of 20.00 (spend_cap)")
    assert said.err.startswith("1 of them are not in it")


def test_for_programs(ports: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    cost(Context(), json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["running"][0] == {
        "cloud": "cheap",
        "server": "st-abababab",
        "owner": "ann@desk",
        "until": UNTIL.isoformat(),
        "hourly": 0.25,
    }
    assert (found["hourly"], found["spend_cap"], found["failed"]) == (0.25, 20.0, [])
    assert found["month"]["unpriced"] == 1
    assert 0 <= found["month"]["dollars"] <= 3.0, "less where the month ends within these seconds"


def test_a_cloud_that_does_not_answer_is_an_error_after_what_is_known(
    ports: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> object:
        raise CloudError("cloud.auth", "refused our credentials")

    monkeypatch.setattr(ports.clouds["unpriced"], "servers", refuse)
    with pytest.raises(Exit) as ended:
        cost(Context())
    said = capsys.readouterr()
    assert ended.value.code == CloudError.exit_code
    assert "running now: 1" in said.out
    assert "unpriced: refused our credentials" in said.err
