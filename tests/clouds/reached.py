"""A cloud that a test plays as the product reaches it: settings of the inventory, secrets read from where they say."""

from __future__ import annotations

from collections.abc import Mapping

from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.core.ports import Clock
from support_tunnel.core.secret import Secret

__all__ = ["cloud_at"]


def cloud_at(name: str, settings: Mapping[str, str], clock: Clock) -> LibcloudCloud:
    """`settings` are a provider's, with its secrets as they are."""
    secrets = {setting.name for setting in CLOUDS[name].settings if setting.secret}
    inventory = {key: f"file:{value}" if key in secrets else value for key, value in settings.items()}
    return LibcloudCloud(name, inventory, clock, secret=lambda source, _: Secret(source.removeprefix("file:")))
