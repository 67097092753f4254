"""A device and a tunnel server that are models: they know every script the flows send, and what it leaves on a host.

A script they do not know is a fault of the test. That the real scripts do on a real host what is said here is shown by
tests/desired and tests/onebox.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from support_tunnel.core.addressing import TAILNET, server_address
from support_tunnel.core.errors import CoordinatorError, HostError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ports import Cloud, Completed
from support_tunnel.core.secret import Secret
from support_tunnel.desired import probes, tailnet_probes, undo_script
from support_tunnel.desired.cleaning import clean
from support_tunnel.flows.admin.coordinate import API_KEY_SECONDS
from support_tunnel.flows.admin.launch import LOGIN_USER
from support_tunnel.testing.hosts import FakeConnector, FakeServerShell

TAILSCALE = "/opt/tailscale"
TAILNET_SERVER = server_address(TAILNET)
OPENED = {"interface", "table", "account", "session unit", "tunnel unit", "unit files", "folder"}
CUT = {"interface", "table", "session unit", "tunnel unit"}
UNDONE = {"account", "unit files", "folder", "undo", *CUT}
CAPABLE = "uid\t0\nsystemd\trunning\nsystemd-version\tsystemd 252\nwireguard\tkernel\nipv6\ton\nrun\ttmpfs\nrun-writable\tyes\n"
SWEPT = {"account", "unit files", "folder", "undo", "request timer"}


def reported(script: str, *, only: int | None = None) -> Completed:
    """What a compiled script prints when each of its steps changed something; `only` N: it broke off after N of them."""
    steps = sorted({int(number) for number in re.findall(r"^st_(?:step|say) (\d+)", script, re.MULTILINE)})
    lines = [f"support-tunnel: {number} changed" for number in steps[:only]]
    ended = [] if only is not None else ["support-tunnel: end"]
    return Completed(0 if only is None else 1, "".join(f"{line} \n" for line in [*lines, *ended]), "")


def _state(things: set[str]) -> str:
    units = {"session": "session unit", "tunnel": "tunnel unit", "keeper": "keeper"}
    return "".join(f"{key}\t{'active' if thing in things else 'inactive'}\n" for key, thing in units.items())


def _left(things: set[str]) -> str:
    return "".join(f"left\t{thing}\n" for thing in sorted(things))


class DeviceModel:
    """`ports.Shell` of the device. `holds` says what a session has there now, by its 8 digits."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        """Where its tunnel's server is."""
        self.holds: dict[str, set[str]] = {}
        self.scripts: list[str] = []
        self.on_keeper_start: Callable[[TunnelId], None] = lambda tunnel: None
        self.on_request_timer: Callable[[TunnelId, int], None] = lambda tunnel, seconds: None
        self.on_keeper_end: Callable[[str], None] = lambda short: None
        self.foreign: set[str] = set()
        """What others have under the names of every session."""
        self.breaks_off = False
        """The next roles get half-way only."""
        self.sticks: set[str] = set()
        """What no script can remove."""
        self.logins: list[str] = []
        """What sshd has said of those who logged in."""
        self.kex = "mlkem768x25519-sha256"
        self.on_join: Callable[[], None] = lambda: None
        self.blocks_wireguard = 0
        """So many of the answer's ways by WireGuard, the first ones, get no answer."""
        self._wireguards = 0
        self.refused = ""
        """What the server said when the last join failed."""
        self.way = "direct"
        """How the node of the session reaches the tunnel server's; in a shared network, whoever is there."""
        self.address = "fd7a:115c:a1e0::17"
        """What a shared Headscale server gives the node."""

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        text = script.reveal()
        self.scripts.append(text)
        if text == probes.capabilities().reveal():
            return Completed(0, CAPABLE + f"kex\t{self.kex}\n", "")
        if text == probes.traces().reveal():
            return Completed(0, "".join(f"short\t{short}\n" for short in self.traces()), "")
        found = re.search(r"(?:st-|undo-|support_tunnel/)([0-9a-f]{8})", text)
        assert found is not None, "the device does not know this script"
        short = found[1]
        return self._about(short, self.holds.setdefault(short, set()), text)

    def traces(self) -> list[str]:
        return [short for short, things in self.holds.items() if things]

    def power_cut(self) -> None:
        """What is in memory is gone; the account, on disk, is not."""
        for things in self.holds.values():
            things &= {"account"}

    def keeper_dies(self, short: str) -> None:
        """However it ends, systemd runs its ExecStopPost."""
        if "keeper" in self.holds.get(short, ()):
            self.holds[short].discard("keeper")
            self.on_keeper_end(short)

    def _about(self, short: str, things: set[str], text: str) -> Completed:
        names = Names(TunnelId(short + "0" * 24))
        known: dict[str, Callable[[], str]] = {
            probes.cut(names).reveal(): lambda: self._lose(short, things, CUT),
            probes.stop_keeper(names).reveal(): lambda: self._stop_keeper(short),
            probes.forget_request_timer(names).reveal(): lambda: self._lose(
                short, things, {"request timer"}, cut=False
            ),
            probes.sweep_names(names).reveal(): lambda: self._lose(short, things, SWEPT),
            probes.handshake(names).reveal(): lambda: (
                "" if self._wireguards <= self.blocks_wireguard else self._handshake(short, things)
            ),
            tailnet_probes.tailnet_way(names, TAILSCALE, TAILNET_SERVER).reveal(): lambda: self._way(short, things),
            tailnet_probes.tailnet_company(names, TAILSCALE).reveal(): lambda: self._company(things),
            tailnet_probes.tailnet_address(names, TAILSCALE).reveal(): lambda: f"address\t{self.address}\n",
            tailnet_probes.join_refused(names).reveal(): lambda: f"refused\t{self.refused}\n" if self.refused else "",
            probes.session_state(names).reveal(): lambda: _state(things),
            probes.limits(names).reveal(): lambda: "limit\tprocesses\nlimit\tfile-size\n",
            probes.logins(names).reveal(): lambda: "".join(f"login\t{login}\n" for login in self.logins),
            probes.leftovers(names).reveal(): lambda: _left(things - {"keeper"}),
            probes.taken(names).reveal(): lambda: _left(things | self.foreign),
        }
        if text in known:
            return Completed(0, known[text](), "")
        if text == undo_script(probes.undo_folder(names)).reveal():
            self._lose(short, things, UNDONE)
            return Completed(0, "support-tunnel: end \n", "")
        if timer := re.search(rf"--on-active=(\d+) [^|]*expire ({short}[0-9a-f]{{24}})", text):
            things.add("request timer")
            self.on_request_timer(TunnelId(timer[2]), int(timer[1]))
            return Completed(0, "", "")
        if "systemd-run" in text and "keep" in text:
            return self._start_keeper(short, things, text)
        assert "st_step" in text, "the device does not know this script"
        if f"\nst_journal={probes.undo_folder(names)}\n" in text:
            things.add("undo")
        if self.breaks_off:
            self.breaks_off = False
            things |= {"account", "folder", "tunnel unit"}
            return reported(text, only=1)
        # The role joins where it is given a key; its stand-in cannot say, and counts as given one where nothing is up yet.
        if "/node/key" in text or ("/run/tailscale_node" in text and "interface" not in things):
            try:
                self.on_join()
            except CoordinatorError as refused:
                things |= {"folder"}
                self.refused = refused.message
                return reported(text, only=1)
        if "interface" not in things and ("/wireguard.conf" in text or "/run/device_tunnel" in text):
            self._wireguards += 1
        things |= OPENED
        return reported(text)

    def _stop_keeper(self, short: str) -> str:
        self.keeper_dies(short)
        return ""

    def _start_keeper(self, short: str, things: set[str], text: str) -> Completed:
        if "session unit" not in things:
            return Completed(1, "", "the unit it is bound to is not there")
        whole = re.search(rf"keep ({short}[0-9a-f]{{24}})", text)
        assert whole is not None
        if "keeper" not in things:
            things.add("keeper")
            self.on_keeper_start(TunnelId(whole[1]))
        return Completed(0, "", "")

    def _way(self, short: str, things: set[str]) -> str:
        found = self._handshake(short, things)
        return f"way\t{self.way}\n" if self.way and found.startswith("handshake") else found if "gone" in found else ""

    def _company(self, things: set[str]) -> str:
        return f"way\t{self.way}\n" if "interface" in things else "gone\tyes\n"

    def _handshake(self, short: str, things: set[str]) -> str:
        if "interface" not in things:
            return "gone\tyes\n"
        there = any(server.tags.get("st-tunnel", "").startswith(short) for server in self.cloud.servers())
        return "handshake\t1893456000\n" if there else ""

    def _lose(self, short: str, things: set[str], which: set[str], *, cut: bool = True) -> str:
        things -= which - self.sticks
        if cut and "session unit" not in things:
            self.keeper_dies(short)  # BindsTo
        return ""


class ServerModel(FakeServerShell):
    """`ports.ServerShell` of the tunnel server."""

    def __init__(self, host_key: str, wireguard: str) -> None:
        super().__init__()
        self.stays_unclean = False
        self._keys = f"ssh\t{host_key}\nwireguard\t{wireguard}\n"
        self.breaks_off = False
        self.on_script: Callable[[], None] = lambda: None
        self.on_api_key: Callable[[], str] = lambda: ""
        self.on_join: Callable[[], None] = lambda: None

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        self.on_script()
        self.scripts.append(script)
        text = script.reveal()
        if text == probes.server_keys().reveal():
            return Completed(0, self._keys, "")
        if text == tailnet_probes.coordinator_key(API_KEY_SECONDS).reveal():
            return Completed(0, f"key\t{self.on_api_key()}\n", "")
        if text == clean(LOGIN_USER, turn_off=True).reveal():
            return Completed(1, "", "etc/ssh/x\nstill a key\n") if self.stays_unclean else Completed(0, "", "")
        if " ping " in text:
            return Completed(0, "way\tdirect\n", "")
        if "tailscale_node" in text:
            self.on_join()
        assert "st_step" in text, "the server does not know this script"
        return reported(text, only=1 if self.breaks_off else None)


class CloudConnector(FakeConnector):
    """`ports.Connector` that reaches a server only while the cloud has it."""

    def __init__(self, shell: ServerModel, cloud: Cloud) -> None:
        super().__init__(shell)
        self._cloud = cloud

    def connect(self, address: str, **login: Any) -> FakeServerShell:
        if not any(server.address == address for server in self._cloud.servers()):
            raise HostError("ssh.unreachable", "nobody answers there")
        return super().connect(address, **login)
