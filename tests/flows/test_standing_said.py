"""What `fab stop` and `fab sweep` say of a tunnel on a standing server, which has no server of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support_tunnel.cli.admin import tasks as admin_tasks
from support_tunnel.core.report import Report, Step
from support_tunnel.flows.admin.sweep import Swept
from support_tunnel.flows.library import Library
from support_tunnel.testing.clock import START
from tests.flows.test_standing_play import HEADSCALE
from tests.flows.world import World


@pytest.mark.parametrize(("standing", "said"), [(True, "nothing of it is left"), (False, "its server is gone")])
def test_a_stop_says_what_is_gone(
    make_world: Callable[..., World],
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    standing: bool,
    said: str,
) -> None:
    world = make_world(library=library, transports=HEADSCALE if standing else ("wireguard",))
    if standing:
        world.has_standing()
    world.connect()
    monkeypatch.setattr("support_tunnel.cli.admin.settings.load_admin_settings", lambda _: None)
    monkeypatch.setattr("support_tunnel.cli.admin.wiring.admin_ports", lambda _: world.admin_ports())
    monkeypatch.setattr("support_tunnel.flows.admin.stop.stop", lambda ports, tunnel: ports.ledger.remove(tunnel))
    admin_tasks.stop.body(None, world.tunnel[:8])
    assert capsys.readouterr().out == f"stopped: {world.tunnel[:8]}, {said}\n"


def test_a_sweep_says_whose_steps_they_are(
    make_world: Callable[..., World],
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = make_world(library=library)
    step = Step("join keys expired", True, "2")
    swept = Swept(reports=[Report("aaaaaaaa", "t-1", START, (step,)), Report("bbbbbbbb", "", START, (step,))])
    monkeypatch.setattr("support_tunnel.cli.admin.settings.load_admin_settings", lambda _: None)
    monkeypatch.setattr("support_tunnel.cli.admin.wiring.admin_ports", lambda _: world.admin_ports())
    monkeypatch.setattr("support_tunnel.flows.admin.sweep.sweep", lambda *_, **__: swept)
    monkeypatch.setattr("support_tunnel.cli.admin.rehearsal.stage.remove_dead", list)
    admin_tasks.sweep.body(None)
    told = capsys.readouterr().out.splitlines()
    assert told[:4] == [
        "tunnel aaaaaaaa (ticket t-1):", f"  {step}",
        "tunnel bbbbbbbb (ticket -):", f"  {step}",
    ]  # fmt: skip
