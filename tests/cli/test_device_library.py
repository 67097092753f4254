"""`support_tunnel.device` refuses what `inv` refuses, before anything is asked for; its sessions are in tests/onebox/test_waiting.py."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable

import pytest

from support_tunnel.cli import paths
from support_tunnel.cli.device import settings as device_settings
from support_tunnel.cli.device.settings import DeviceSettings
from support_tunnel.cli.device.wish import Asked
from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.hooks import HookCommand
from support_tunnel.core.names import TunnelId
from support_tunnel.device import Device
from support_tunnel.flows.device import request_and_leave
from support_tunnel.flows.device.request import Wish
from support_tunnel.testing.people import ScriptedPrompt

TUNNEL = TunnelId(secrets.token_hex(16))
DAY = 24 * 60
CALLS: dict[str, Callable[[Device], object]] = {
    "request": lambda device: device.request(ttl=300),
    "connect": lambda device: device.connect(TUNNEL, ScriptedPrompt()),
    "connect_approved": lambda device: device.connect_approved(),
}


def by_flags(ttl: int, wait: int) -> None:
    Asked(ttl=ttl, wait=wait, code_file="code").check()


@pytest.mark.parametrize(("ttl", "wait"), [(0, 60), (481, 60), (30, 0), (30, DAY - 29), (480, DAY - 479), (-1, 60)])
def test_times_that_inv_refuses_are_refused(ttl: int, wait: int) -> None:
    said = []
    for ask in (lambda: by_flags(ttl, wait), lambda: Device().request(ttl=ttl * 60, wait=wait * 60)):
        with pytest.raises(UsageError) as caught:
            ask()
        assert caught.value.code == "usage.range"
        said.append(caught.value.message)
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("transport", "pq", "code"),
    [
        ("headscale", "require", "transport.pq"),
        ("tailscale", "prefer", "usage.transport"),
        ("auto", "maybe", "usage.transport"),
    ],
)
def test_transports_that_inv_refuses_are_refused(transport: str, pq: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        Device().request(ttl=300, transport=transport, pq=pq)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("flags", "offered"),
    [
        ({}, ("wireguard",)),
        ({"transport": "auto"}, ("wireguard", "wireguard-443")),
        ({"transport": "auto", "pq": "prefer"}, ("wireguard", "wireguard-443", "headscale")),
        ({"transport": "headscale", "pq": "prefer"}, ("headscale",)),
    ],
)
def test_the_request_offers_what_was_asked_for(
    flags: dict[str, str], offered: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = DeviceSettings("https://127.0.0.1:1", "", "till")
    monkeypatch.setattr(device_settings, "load_device_settings", lambda environ: told)
    wishes: list[Wish] = []

    def asked(_ports: object, wish: Wish, **_more: object) -> None:
        wishes.append(wish)
        raise WrongState("tunnel.active", "enough is seen")

    monkeypatch.setattr(request_and_leave, "request_and_leave", asked)
    with pytest.raises(WrongState):
        Device().request(ttl=300, **flags)  # type: ignore[arg-type]  # texts all
    assert [wish.transports for wish in wishes] == [offered]


@pytest.mark.parametrize("call", CALLS)
def test_a_script_that_may_not_be_run_is_said_first(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when its moment comes: somebody is in then."""
    told = DeviceSettings("https://127.0.0.1:1", "", "till", hooks={"post-down": HookCommand(("/nowhere/down",))})
    monkeypatch.setattr(device_settings, "load_device_settings", lambda environ: told)
    with pytest.raises(UsageError) as caught:
        CALLS[call](Device())
    assert caught.value.code == "hook.missing"


MEMORY = """
import ctypes, json, resource
from support_tunnel.device import Device
open_to_others = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
Device()
print(json.dumps([open_to_others, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE)]))
"""


def test_a_program_that_uses_it_closes_its_memory() -> None:
    """prctl(2), 3 is PR_GET_DUMPABLE."""
    ended = subprocess.run(
        [sys.executable, "-c", MEMORY], cwd=paths.REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(ended.stdout) == [1, 0, 0, 0]
