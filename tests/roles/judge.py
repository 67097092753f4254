"""ansible-playbook on a real host of a test, whose host key may change in the course of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from support_tunnel.core.secret import Secret
from tests.desired.oracle import SshHost, apply_with_ansible
from tests.roles.hosts import ROLES

__all__ = ["Ansible"]


class Ansible:
    """Applies roles of the project to one host by ssh, with a key file in the folder of the test."""

    def __init__(self, folder: Path, address: str, user: str, private_key: Secret[str], host_key: str) -> None:
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_text(private_key.reveal())
        self._host = SshHost(address, 22, user, key, f"{address} {host_key}")

    def trust(self, host_key: str) -> None:
        self._host = replace(self._host, known_hosts=f"{self._host.address} {host_key}")

    def play(self, roles: tuple[str, ...], variables: Mapping[str, object]) -> int:
        """Return how many tasks changed something. Raises AssertionError with Ansible's words when one failed."""
        applied = apply_with_ansible(ROLES, roles, variables, templates=ROLES.parent / "templates", host=self._host)
        return applied.changed
