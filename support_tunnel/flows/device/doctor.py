"""Examine a device before it is needed: every check runs, whatever the one before it found."""

from __future__ import annotations

from collections.abc import Callable

from support_tunnel.core.device_health import Check, blamed, failure, judge_clock, judge_host, judge_mlkem
from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.headscale_health import judge_device
from support_tunnel.core.ports import ApiLook, Shell
from support_tunnel.core.st1.kem import mlkem_available
from support_tunnel.desired import probes
from support_tunnel.desired.doctor_probe import device_facts, tailscale_facts

__all__ = ["examine"]


def examine(
    shell: Shell, settings: Callable[[], ApiLook], *, log: str, tailscale: Callable[[], str] = lambda: ""
) -> list[Check]:
    """`settings` reads the device's files and raises what is wrong with them; `log` is the folder of the audit log, `tailscale` reads
    that of Tailscale's programs, empty for none.
    """
    return [
        *_host(shell, log),
        judge_mlkem(mlkem_available()),
        *_settings_and_api(settings),
        *_tailscale(shell, tailscale),
    ]


def _host(shell: Shell, log: str) -> list[Check]:
    try:
        return judge_host(probes.read(shell, device_facts(log), timeout=30))
    except SupportTunnelError as error:
        return [failure("host", error)]


def _tailscale(shell: Shell, setting: Callable[[], str]) -> list[Check]:
    try:
        folder = setting()
    except SupportTunnelError:
        return []  # said under `config`
    try:
        found = probes.read(shell, tailscale_facts(folder), timeout=30) if folder else {}
    except SupportTunnelError as error:
        return [failure("headscale", error)]
    return [judge_device(folder, found)]


def _settings_and_api(settings: Callable[[], ApiLook]) -> list[Check]:
    try:
        api = settings()
    except SupportTunnelError as error:
        return [failure("config", error)]
    checks = [Check("config", "ok", "the settings are whole, and only root can change them")]
    try:
        seen = api.see()
    except SupportTunnelError as error:
        return [*checks, failure(blamed(error), error), _udp(api)]
    checks.append(Check("api", "ok", "it answers, and is the one that was named"))
    checks += [judge_clock(seen.theirs - seen.ours)] if seen.theirs else []
    return [*checks, _udp(api)]


def _udp(api: ApiLook) -> Check:
    try:
        api.send_udp()
    except SupportTunnelError as error:
        return failure("udp", error)
    return Check("udp", "ok", "this device lets UDP out (whether the network does, shows in a session)")
