"""The people of a one-box test: an owner at their device, an admin with their own `fab`, both on the rehearsal's stage."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.layout import CloudLayout
from support_tunnel.adapters.local_cloud.nodes import Nodes
from support_tunnel.adapters.local_cloud.snapshot import Snapshot
from support_tunnel.cli import paths
from support_tunnel.cli.admin.rehearsal.stage import Stage, invoke_on_device, stage
from support_tunnel.cli.admin.wiring import admin_ports
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ports import Completed
from support_tunnel.core.st1.code import Code
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import probes
from support_tunnel.testing.people import RecordedProgress

PATIENCE = 120.0
"""Seconds for what takes ten on an idle machine."""

HOST_STATE = r"""
echo users; getent passwd; getent group
echo links; ip -o link show | cut -d: -f2; wg show interfaces
echo routes; ip -6 route show; ip rule show
echo tables; nft list ruleset
echo units; systemctl list-units --all --plain --no-legend 'st*' 'support*'
find /run/systemd/system /run/systemd/transient -name 'st-*'
echo processes; pgrep -l 'sshd|wireguard|python|inv' | cut -d' ' -f2 | sort | uniq -c
echo folders; find /run/support_tunnel /run/sshd 2>/dev/null
"""
"""What a device is like apart from its files: nothing of it may be different after a session."""


@dataclass(frozen=True, slots=True)
class Connected:
    code: Code
    owner: dict[str, Any]
    """The last line of the device's tool."""
    admin: dict[str, Any]
    """The last line of the admin's tool."""
    said: str = ""
    """What both tools wrote to stderr."""

    @property
    def tunnel(self) -> TunnelId:
        return self.code.tunnel

    @property
    def names(self) -> Names:
        return Names(self.code.tunnel)


@dataclass(frozen=True, slots=True)
class Crew:
    on: Stage
    inventory: Path
    tool: Callable[..., str] = invoke_on_device
    """Makes the command line that runs a verb on the device."""
    umask: str = "022"
    """Of both tools; what they make must not depend on it."""

    # --- the admin ---

    def fab_words(self, *words: str) -> list[str]:
        """The command line of the admin's own `fab`."""
        fab = Path(sys.executable).with_name("fab")
        settings = ("PYTHONDONTWRITEBYTECODE=1", f"SUPPORT_TUNNEL_INVENTORY={self.inventory}")
        umask = ("sh", "-c", f'umask {self.umask}; exec "$@"', "fab")
        return [*umask, "env", "-C", str(paths.REPOSITORY), *settings, str(fab), *words]

    def fab(self, *words: str, stdin: str = "") -> Completed:
        return processes.run(self.fab_words(*words), stdin=stdin.encode(), timeout=PATIENCE, accept=None)

    def ssh(self, tunnel: TunnelId, host: str, command: str, *options: str) -> Completed:
        """The admin's ssh on one of the two hops, by the configuration that `fab` wrote for this tunnel."""
        config = self.vault_file(tunnel, "ssh-config")
        return processes.run(["ssh", *options, "-F", config, host, command], timeout=PATIENCE)

    def server(self, tunnel: TunnelId, script: str) -> str:
        """Run a script as root on the tunnel server."""
        return self.ssh(tunnel, "support-tunnel-server", shlex.join(["sudo", "-n", "sh", "-euc", script])).stdout

    def vault_file(self, tunnel: TunnelId, name: str) -> Path:
        return Path(self.on.settings.runtime) / tunnel / name

    # --- the owner ---

    def device(self, script: str) -> str:
        """Run a script as root on the device, at the owner's own keyboard."""
        words = [*self.on.device.ssh, "sh -s"]
        return processes.run(words, stdin=script.encode(), timeout=PATIENCE, accept=None).stdout

    def inv(self, *words: str) -> Completed:
        return processes.run([*self.on.device.ssh, self.tool(*words)], timeout=PATIENCE, accept=None)

    def inv_in_terminal(self, *words: str) -> list[str]:
        """The command line for a window on the device that runs `inv`."""
        return [*self.on.device.ssh, "-tt", self.tool(*words)]

    def tree(self) -> Snapshot:
        return self._nodes.snapshot(self.on.device.id)

    def times_met(self) -> int:
        """How often the device says it has met this admin."""
        met = json.loads(self.device("cat /var/lib/support_tunnel/admins.json 2>/dev/null || echo '{}'"))
        return sum(one["times"] for one in met.values() if one["name"] == self.on.settings.display_name)

    def logins(self, tunnel: TunnelId) -> list[dict[str, str]]:
        """Who came in, as the session's log says, which has to hold."""
        told = json.loads(self.inv("detail-all-tunnels").stdout)
        (row,) = [row for row in told if row["tunnel_id"] == tunnel]
        assert row["log"]["holds"], row
        found: list[dict[str, str]] = row["logins"]
        return found

    # --- both ---

    def connect(self, *words: str, answering: Sequence[str] = ()) -> Connected:
        """Request with `words` and answer with `answering`; the device's policy consents."""
        ask = f"umask {self.umask}; {self.tool('request-and-connect-tunnel', '--json', *words)}"
        with processes.streaming([*self.on.device.ssh, ask]) as owner:
            said = owner.line()
            assert said, owner.end(timeout=PATIENCE).stderr
            code = Code.parse(json.loads(said)["preshared_key"])
            answered = self.fab("create-tunnel-server", "--json", "-p", "-", *answering, stdin=code.text().reveal())
            ended = owner.end(timeout=PATIENCE)
        assert answered.status == 0, answered.stderr + ended.stderr
        return Connected(code, last_json(ended.stdout), last_json(answered.stdout), ended.stderr + answered.stderr)

    def closed(self) -> None:
        """Wait until nobody is let in on the device any more."""
        wait_for(
            lambda: True if json.loads(self.inv("status", "--json").stdout) == [] else None,
            what="the end of the session on the device",
            seconds=PATIENCE,
            clock=SystemClock(),
        )

    def left(self, tunnel: TunnelId) -> list[str]:
        """Everything of this tunnel that is still anywhere: on the device, in the cloud, at the admin's, at the API."""
        ports = admin_ports(self.on.settings, progress=RecordedProgress())
        return [
            *(f"device: {line}" for line in self.device(probes.leftovers(Names(tunnel)).reveal()).splitlines()),
            *(f"device: {line}" for line in self.device("find /run/support_tunnel -type f 2>/dev/null").splitlines()),
            *(f"server: {view.record.name}" for view in self._nodes.views() if view.record.id != self.on.device.id),
            *(f"ledger: {entry.tunnel} {entry.stage}" for entry in ports.ledger.entries()),
            *(f"keys: {path}" for path in Path(self.on.settings.runtime).glob("*")),
            *(f"api: {row.tunnel}" for row in ports.mailbox_for(None).tunnels() if row.state != "closed"),
        ]

    @property
    def _nodes(self) -> Nodes:
        return Nodes(CloudLayout(self.on.cloud_root), SystemClock())


@contextmanager
def crew(*, consent: bool, image: str = "host", bind_ro: Sequence[Path] = ()) -> Iterator[Crew]:
    """A stage with an owner and an admin on it. Without `consent` the device asks whoever sits there.

    On another image than `host` the device has no checkout: it runs the command that a package installs.
    """
    with stage(RecordedProgress(), consent=consent, image=image, bind_ro=bind_ro) as on:
        inventory = on.folder / "inventory.yml"
        # What is not set is left out, as a person leaves it out: null is no amount.
        told = {name: value for name, value in dataclasses.asdict(on.settings).items() if value is not None}
        inventory.write_text(yaml.safe_dump({"support_tunnel": told}))
        yield Crew(on, inventory) if image == "host" else Crew(on, inventory, installed_on_device)


def installed_on_device(*words: str) -> str:
    return shlex.join(["support-tunnel", *words])


def last_json(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found
