"""A machine that others keep, as a model, under the real cloud `static`: what is faked is the ssh to it and what is done there.

That the real scripts do there what is said here is shown by tests/roles/test_guest.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.clouds.static import STATIC
from support_tunnel.adapters.clouds.static_driver import Guests, StaticDriver
from support_tunnel.core import ssh_key
from support_tunnel.core.errors import CloudError
from support_tunnel.core.ports import Clock, Completed, Login, Shell
from support_tunnel.core.secret import Secret
from support_tunnel.desired import guest
from support_tunnel.testing.hosts import FakeServerShell
from tests.flows.hosts import ServerModel

__all__ = ["LOGIN", "PUBLIC", "GuestModel", "KeptGuests", "kept_cloud"]

ADDRESS = "192.0.2.10"
PRIVATE, PUBLIC = ssh_key.new_keypair("keeper")
PUBLIC = " ".join(PUBLIC.split()[:2])
LOGIN = Login("ops", Secret(PRIVATE.reveal().strip()), PUBLIC)


class KeptGuests:
    """`Guests` of one machine, a file a place. Nothing there ends a place by itself: whoever began it has to, or a sweep."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def claim(
        self, shell: Shell, tags: Mapping[str, str], ports: Sequence[int], *, expires: int, lifetime: int, most: int
    ) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._place(tags).exists():
            raise CloudError("cloud.taken", "it has a place already")
        self.require_fit(shell, most=most)
        self._place(tags).write_text(json.dumps(dict(tags)))

    def require_fit(self, shell: Shell, *, most: int) -> None:
        if len(self.tunnels(shell)) >= most:
            raise CloudError("cloud.full", "no room")

    def tunnels(self, shell: Shell) -> list[dict[str, str]]:
        return [json.loads(path.read_text()) for path in sorted(self._folder.glob("*"))]

    def give_back(self, shell: Shell, tags: Mapping[str, str]) -> None:
        self._place(tags).unlink(missing_ok=True)

    def _place(self, tags: Mapping[str, str]) -> Path:
        return self._folder / tags["st-tunnel"][:8]


def kept_cloud(guests: Guests, clock: Clock) -> LibcloudCloud:
    shell = FakeServerShell()  # one for all connections, so that two looks at the same thing are seen to be that

    def driver(told: Mapping[str, Any]) -> StaticDriver:
        return StaticDriver(ADDRESS, LOGIN, most=int(told["tunnels"]), guests=guests, connect=lambda *_, **__: shell)

    row = replace(STATIC, connect=driver, login=lambda told: LOGIN)
    settings = {"host": ADDRESS, "host_key": PUBLIC, "login_key": "file:/keeper"}
    return LibcloudCloud("static", settings, clock, rows={"static": row}, secret=lambda source, meaning: PRIVATE)


class GuestModel(ServerModel):
    """Knows where a guest's key lies."""

    def __init__(self, host_key: str, wireguard: str) -> None:
        super().__init__(host_key, wireguard)
        self._wireguard = wireguard

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        if f"file={guest.FOLDER}/" in script.reveal():
            self.scripts.append(script)
            return Completed(0, f"wireguard\t{self._wireguard}\n", "")
        return super().run_script(script, timeout=timeout)
