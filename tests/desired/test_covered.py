"""Nothing of the subset is without an oracle: each module, argument and key that the code accepts stands in a role that Ansible judges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from support_tunnel.desired.modules import IMPORT, MODULES
from support_tunnel.desired.modules.commands import FREE_FORM
from support_tunnel.desired.role import KEYS
from tests.desired.covered import COVERING
from tests.roles.hosts import DEVICE_ROLES, ROLES
from tests.roles.test_device_install import INSTALLED

OTHERS = (
    "api",
    "headscale",
    "sweep_timer",
    "tailscale_node",
    "tunnel_guest",
    "tunnel_server",
    "tunnel_server_packages",
)
"""Judged by tests/roles/test_api_oracle.py, test_device_install.py, test_tailnet_roles.py and test_oracle.py, one at a time."""


def tasks() -> Iterator[dict[str, Any]]:
    for text in COVERING:
        yield from yaml.safe_load(text)


def used() -> Iterator[tuple[str, str]]:
    """Each module with each argument that some role gives it."""
    for task in tasks():
        for module in task.keys() & MODULES.keys():
            given = task[module]
            yield from ((module, name) for name in ([FREE_FORM] if isinstance(given, str) else given))


def test_every_argument_of_every_module_is_used() -> None:
    # modules that are the same one by other names share their arguments
    found = {(id(MODULES[module]), name) for module, name in used()}
    missing = [
        f"{module}: {name}"
        for module, about in MODULES.items()
        for name in sorted(about.arguments)
        if (id(about), name) not in found
    ]
    assert missing == []
    assert MODULES.keys() - {module for module, _ in used()} == set()


def test_every_key_is_used() -> None:
    assert KEYS - {key for task in tasks() for key in task} == set()
    assert any(IMPORT in task for task in tasks())


def test_every_role_of_the_project_is_judged() -> None:
    assert sorted(path.name for path in Path(ROLES).iterdir()) == sorted([*DEVICE_ROLES, *INSTALLED, *OTHERS])
