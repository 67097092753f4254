"""A cloud of files: one a server, in a folder. Survives the process that made it, so tests can kill that and look again.

It obeys the same contract suite as the real ones (tests/adapters/test_cloud_contract.py).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from support_tunnel.core.errors import CloudError, SupportTunnelError
from support_tunnel.core.ports import Server, ServerSpec

__all__ = ["FakeCloud"]


class FakeCloud:
    """The port `Cloud`. Servers answer at `address` at once: nothing boots here."""

    only_wireguard = False

    def __init__(self, folder: Path, *, address: str = "192.0.2.1", hourly: float | None = None) -> None:
        self.folder = folder
        self._address = address
        self._hourly = hourly
        self.written: Sequence[str] = ()
        """What its servers write on their consoles."""

    def create(self, spec: ServerSpec) -> Server:
        server = Server(f"fake-{secrets.token_hex(4)}", spec.name, self._address, running=True, tags=dict(spec.tags))
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / f"{server.id}.new"
        fresh.write_text(json.dumps(asdict(server)))
        fresh.rename(fresh.with_suffix(".json"))
        return server

    def servers(self) -> Sequence[Server]:
        return [server for server in self.everything() if "st-tunnel" in server.tags]

    def server(self, server_id: str) -> Server | None:
        return next((server for server in self.servers() if server.id == server_id), None)

    def destroy(self, server_id: str) -> None:
        for server in self.everything():
            if server.id == server_id:
                if "st-tunnel" not in server.tags:
                    raise CloudError("cloud.foreign", f"server {server_id} does not carry our tag")
                (self.folder / f"{server_id}.json").unlink(missing_ok=True)

    def destroy_all(self, server_ids: Sequence[str]) -> Mapping[str, SupportTunnelError]:
        troubles: dict[str, SupportTunnelError] = {}
        for server_id in server_ids:
            try:
                self.destroy(server_id)
            except SupportTunnelError as error:
                troubles[server_id] = error
        return troubles

    def now(self) -> datetime | None:
        return None

    def console(self, server_id: str) -> Sequence[str]:
        return self.written

    def hourly(self) -> float | None:
        return self._hourly

    def everything(self) -> list[Server]:
        """Servers of other people too."""
        found = []
        for path in sorted(self.folder.glob("fake-*.json")):
            try:
                found.append(Server(**json.loads(path.read_text())))
            except FileNotFoundError:
                continue  # destroyed by another thread since it was listed
        return found
