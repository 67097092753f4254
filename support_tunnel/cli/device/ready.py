"""What has to hold before an owner asks for support or lets somebody in, whoever calls: `inv`, or a program (support_tunnel.device).

Asks nobody and opens nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import LONGEST_LIFE

if TYPE_CHECKING:
    from support_tunnel.cli.device.settings import DeviceSettings
    from support_tunnel.core.ports import Prompt
    from support_tunnel.flows.device.ports import DevicePorts

__all__ = ["LONGEST_WAIT", "check_times", "ready", "within"]

LONGEST_STAY: Final = 480
LONGEST_WAIT: Final = LONGEST_LIFE // 60
"""Minutes from the request to the end of the session."""


def check_times(*, ttl: float, wait: float) -> None:
    """Minutes that a helper may stay, and that a request waits for one. Raises UsageError `usage.range`."""
    within("ttl", ttl, 1, LONGEST_STAY)
    within("wait", wait, 1, LONGEST_WAIT - ttl)


def within(name: str, minutes: float, least: float, most: float) -> None:
    if not least <= minutes <= most:
        raise UsageError("usage.range", f"{name} is from {least:g} to {most:g} minutes")


def ready(prompt: Prompt | None = None) -> tuple[DeviceSettings, DevicePorts]:
    """This device by its settings; `prompt` asks the owner, at the terminal by default.

    Raises UsageError `config.*`, `hook.*` (a script that may not be run is said now, not when somebody waits to be let in) and what
    `device_ports` raises.
    """
    from support_tunnel.adapters.hook_scripts import HookScripts
    from support_tunnel.cli.device.settings import load_device_settings
    from support_tunnel.cli.device.wiring import device_ports

    settings = load_device_settings(os.environ)
    HookScripts(settings.hooks).check()
    return settings, device_ports(settings, prompt=prompt)
