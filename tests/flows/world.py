"""One device, one admin, an API and a cloud between them, all fakes: what the tests of flows play on.

Over 300 lines: every part of it knows the others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support_tunnel.adapters.account_disk import DiskAccount
from support_tunnel.adapters.ledger_disk import DiskLedger
from support_tunnel.adapters.vault_tmpfs import TmpfsVault
from support_tunnel.core import ssh_key, wireguard_key
from support_tunnel.core.consent import ConsentPolicy
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Cloud, Server, ServerSpec
from support_tunnel.core.private_authority import vouch_for
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.paths import Transport
from support_tunnel.core.st1.people import Helper
from support_tunnel.core.st1.signer import KeySigner, Signer, Trust
from support_tunnel.core.tailnet import read_policy
from support_tunnel.flows.admin.coordinate import API_KEY_SECONDS
from support_tunnel.flows.admin.create_server import Answered, Terms, Where, create_server
from support_tunnel.flows.admin.ports import AdminPorts, Programs, Standing
from support_tunnel.flows.admin.stop import stop
from support_tunnel.flows.admin.sweep import Swept, sweep
from support_tunnel.flows.device.clean_up import clean_up
from support_tunnel.flows.device.connect import connect
from support_tunnel.flows.device.end_session import end_unless_held, note_reason, stop_all
from support_tunnel.flows.device.expire import expire
from support_tunnel.flows.device.keep import keep
from support_tunnel.flows.device.let_in import Connected
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record
from support_tunnel.flows.device.request import Wish
from support_tunnel.flows.device.request_and_connect import request_and_connect
from support_tunnel.flows.device.request_and_leave import request_and_leave
from support_tunnel.flows.library import Library
from support_tunnel.testing.certifying import FakeCertifier
from support_tunnel.testing.clock import START, ManualClock
from support_tunnel.testing.fake_cloud import FakeCloud
from support_tunnel.testing.fake_headscale import FakeHeadscale
from support_tunnel.testing.fake_images import FakeImages
from support_tunnel.testing.fake_mailbox import FakePostOffice
from support_tunnel.testing.faults import FaultWiring
from support_tunnel.testing.hooks import FakeHooks
from support_tunnel.testing.hosts import FakeDoor
from support_tunnel.testing.people import RecordedProgress, ScriptedPrompt
from support_tunnel.testing.records import MemoryAcquaintances, MemoryJournal
from tests.flows.hosts import TAILSCALE, CloudConnector, DeviceModel, ServerModel
from tests.flows.kept import GuestModel, KeptGuests, kept_cloud
from tests.flows.nodes import JoiningNode
from tests.flows.turns import Job, TurnClock, TurnMailbox, TurnPrompt, Turns

REPOSITORY = Path(__file__).resolve().parents[2]
TTL = 1200
STANDING = "https://headscale.example:443"
PATIENCE = 3600

KEEPER = ("/bin/keeper",)
WISH = Wish(scope=Scope("shell"), ttl=TTL, name="kiosk", patience=PATIENCE)

FOREIGN = ServerSpec(name="support-tunnel-12345678", user_data="", expires=START, tags={})
"""A server of somebody else that has our kind of name, and no tag."""


@functools.cache
def keys() -> Mapping[str, Any]:
    """Made once: what matters here is not what they are."""
    private, public = ssh_key.new_keypair("admin")
    return {
        "signer": KeySigner.from_openssh(private),
        "public": public,
        "authority": Ed25519PrivateKey.generate(),
        "vouched": vouch_for("192.0.2.77", begins=START, ends=START + timedelta(days=1)),
        "host": ssh_key.new_keypair("server")[1],
        "wireguard": wireguard_key.new_keypair()[1],
    }


class World:
    """`library` is the real one, or stand-ins that compile faster."""

    def __init__(
        self,
        folder: Path,
        *,
        library: Library | None = None,
        policy: bool = False,
        trust: Trust | None = None,
        transports: tuple[Transport, ...] = ("wireguard",),
    ) -> None:
        self.folder = folder
        self.manual = ManualClock()
        self.turns = Turns(self.manual)
        self.clock = TurnClock(self.turns)
        self.office = FakePostOffice(self.manual)
        self.cloud = FakeCloud(folder / "cloud")
        self.foreign = self.cloud.create(FOREIGN)
        self.images = FakeImages(folder / "images", self.cloud)
        self.kept: KeptGuests | None = None
        """`has_kept_server` puts it into the cloud's place."""
        self.device_ahead = timedelta(0)
        """Of the device's clock from everybody else's."""
        self.device = DeviceModel(self.cloud)
        self.device.on_keeper_start = self._keeper_starts
        self.device.on_keeper_end = self._keeper_ends
        self.device.on_request_timer = self._request_timer
        self.server = ServerModel(keys()["host"], keys()["wireguard"])
        self.headscale = FakeHeadscale(self.clock)
        """The one on the tunnel server; a new one for each server would be truer, but a test has one."""
        self.server.on_api_key = lambda: self.headscale.mint_api_key(API_KEY_SECONDS).text.reveal()
        self.server.on_join = lambda: self._joins("--h-")
        self.device.on_join = lambda: self._joins("--d-")
        self.standing_headscale = FakeHeadscale(self.clock)
        self.standing: Standing | None = None
        """`has_standing` names it in the inventory."""
        self.own_node = JoiningNode(self.standing_headscale)
        self.programs: Programs | None = Programs("/opt/headscale", "ab" * 32, TAILSCALE)
        self.wish = replace(WISH, transports=transports)
        self.door = FakeDoor()
        self.ledger = DiskLedger(folder / "ledger")
        self.account = DiskAccount(folder / "account")
        self.admin_vault = TmpfsVault(folder / "admin-vault")
        self.device_vault = TmpfsVault(folder / "device-vault")
        self.journal = MemoryJournal(self.clock)
        self.acquaintances = MemoryAcquaintances()
        self.prompt = ScriptedPrompt()
        self.hooks = FakeHooks()
        self.notes = RecordedProgress()
        self.library = library or Library(REPOSITORY / "roles", REPOSITORY / "templates")
        rule = {"signer": keys()["public"], "scope": "shell", "max_ttl_minutes": 60}
        self.max_sessions = 1
        self.policy = ConsentPolicy.parse({"allow": [rule]}) if policy else None
        self.trust = trust or Trust()
        self.signer: Signer = keys()["signer"]
        self.certifier = FakeCertifier(keys()["authority"])
        self.ticket, self.admin_patience = "T-7", 1800
        self.server_kind: Where = "own"
        self.helpers: tuple[Helper, ...] = ()
        self.code: Code | None = None
        self.digits = ""
        self.keepers: dict[str, Job] = {}

    # --- the tools ---

    def device_ports(self, wiring: FaultWiring | None = None) -> DevicePorts:
        wrap = self._wrapping(wiring)
        return DevicePorts(
            clock=TurnClock(self.turns, ahead=self.device_ahead),
            shell=wrap("shell", self.device),
            mailbox_for=lambda token, patient=True: wrap("mailbox", TurnMailbox(self.turns, self.office.device(token))),
            vault=wrap("vault", self.device_vault),
            journal=wrap("journal", self.journal),
            acquaintances=wrap("acquaintances", self.acquaintances),
            prompt=wrap("prompt", TurnPrompt(self.turns, self.prompt)),
            progress=self.notes,
            hooks=wrap("hooks", self.hooks),
            library=self.library,
            trust=lambda: self.trust,
            policy=lambda: self.policy,
            max_sessions=self.max_sessions,
            tailscale=TAILSCALE,
        )

    def admin_ports(self, wiring: FaultWiring | None = None, *, name: str = "admin", **changes: Any) -> AdminPorts:
        wrap = self._wrapping(wiring)
        given: dict[str, Any] = {
            "clock": self.clock,
            "mailbox_for": lambda claim: wrap("mailbox", TurnMailbox(self.turns, self.office.admin(name, claim=claim))),
            "clouds": {"fake": wrap("cloud", self._cloud_of(wrap))},
            "images": {"fake": wrap("images", self.images)},
            "cloud": "fake",
            "connector": wrap("connector", CloudConnector(self.server, self._cloud_of(lambda _, port: port))),
            "door": wrap("door", self.door),
            "account": wrap("account", self.account),
            "ledger": wrap("ledger", self.ledger),
            "vault": wrap("vault", self.admin_vault),
            "progress": self.notes,
            "library": self.library,
            "signer": lambda: self.signer,
            "owner": "ann@laptop",
            "certifier": None if self.helpers else wrap("certifier", self.certifier),  # one or the other
            "coordinator_for": lambda url, key, authority: wrap("coordinator", self._headscale_at(url).face(key)),
            "programs": lambda: self.programs,
            "standing": lambda: self.standing,
            "own_node": wrap("own_node", self.own_node),
        }
        return AdminPorts(**{**given, **changes})

    def _wrapping(self, wiring: FaultWiring | None) -> Callable[[str, Any], Any]:
        counted = wiring or FaultWiring()
        return lambda name, port: counted.wrap(name, self.turns.mortal(port))

    def _cloud_of(self, wrap: Callable[[str, Any], Any]) -> Cloud:
        return self.cloud if self.kept is None else kept_cloud(wrap("guests", self.kept), self.clock)

    def request(self, wiring: FaultWiring | None = None) -> Connected:
        """`inv request-and-connect-tunnel`."""
        return request_and_connect(self.device_ports(wiring), self.wish, keeper=KEEPER, hand_over=self._hand_over)

    def request_and_leave(self, wiring: FaultWiring | None = None, *, approved: bool = False) -> TunnelId:
        """`inv request`, with `approved` by an owner who approves in advance."""
        if approved:
            self.owner_says("approve")
        return request_and_leave(
            self.device_ports(wiring),
            replace(self.wish, approved=approved),
            keeper=KEEPER,
            hand_over=self._hand_over,
        )

    def go_on(self, wiring: FaultWiring | None = None, *, wait: float = PATIENCE) -> Connected:
        """`inv connect`; without `wait`, `inv approve`."""
        return connect(self.device_ports(wiring), self.tunnel, keeper=KEEPER, wait=wait)

    def answer(
        self, wiring: FaultWiring | None = None, *, max_ttl: int | None = None, name: str = "admin", **changes: Any
    ) -> Answered:
        """`fab create-tunnel-server`, once there is a code."""
        self.turns.wait(lambda: self.code is not None, PATIENCE)
        assert self.code is not None
        return create_server(
            self.admin_ports(wiring, name=name, **changes),
            self.code,
            Terms(
                "Ann",
                max_ttl=max_ttl,
                ticket=self.ticket,
                patience=self.admin_patience,
                server=self.server_kind,
                helpers=self.helpers,
            ),
            read_aloud=self._read_aloud,
        )

    def stop_by_admin(self, wiring: FaultWiring | None = None) -> None:
        with self.admin_vault.hold(self.tunnel):
            stop(self.admin_ports(wiring), self.tunnel)

    def stop_by_owner(self, wiring: FaultWiring | None = None) -> None:
        stop_all(self.device_ports(wiring), [self.tunnel], "the owner ended it")

    def keeps(self, tunnel: TunnelId, wiring: FaultWiring | None = None) -> None:
        """The keeper's process; however it ends, systemd sees it."""
        ports = self.device_ports(wiring)
        try:
            note_reason(ports, tunnel, keep(ports, tunnel))
        finally:
            self.device.keeper_dies(tunnel[:8])

    def sweep(self, wiring: FaultWiring | None = None, *, dry_run: bool = False) -> Swept:
        return sweep(self.admin_ports(wiring), dry_run=dry_run)

    def has_standing(self) -> None:
        key = self.standing_headscale.mint_api_key(30 * 24 * 3600).text
        self.standing = Standing(STANDING, keys()["vouched"].authority_pem, lambda: key)
        self.server_kind = "either"

    def has_kept_server(self) -> None:
        """The tunnels' server is one that others keep."""
        self.kept = KeptGuests(self.folder / "kept")
        self.device.cloud = kept_cloud(self.kept, self.clock)
        self.server = GuestModel(keys()["host"], keys()["wireguard"])

    def sweep_elsewhere(self, wiring: FaultWiring | None = None) -> Swept:
        """On a second machine that has the inventory alone."""
        folder = self.folder / "elsewhere"
        own = {
            "ledger": DiskLedger(folder / "ledger"),
            "account": DiskAccount(folder / "account"),
            "vault": TmpfsVault(folder / "vault"),
        }
        wrap = self._wrapping(wiring)
        own_node = JoiningNode(self.standing_headscale)
        return sweep(
            self.admin_ports(wiring, **{name: wrap(name, port) for name, port in own.items()}, own_node=own_node)
        )

    def clean_up(self, wiring: FaultWiring | None = None) -> list[TunnelId]:
        return clean_up(self.device_ports(wiring))

    # --- plays ---

    @property
    def tunnel(self) -> TunnelId:
        assert self.code is not None
        return self.code.tunnel

    def owner_says(self, *answers: str | Callable[[str], str]) -> None:
        self.prompt = ScriptedPrompt(answers)

    def owner_agrees(self) -> None:
        self.owner_says(lambda _: self.digits, "yes")

    def connect(self) -> tuple[Job, Job]:
        """Both verbs, to their ends, undisturbed."""
        if self.policy is None:
            self.owner_agrees()
        device, admin = self.turns.start(self.request), self.turns.start(self.answer)
        self.turns.run(device, admin)
        assert (device.error, admin.error) == (None, None), (device.error, admin.error)
        return device, admin

    def events(self) -> list[str]:
        return [line.split('"')[1] for line in self.journal.lines.get(self.tunnel, [])]

    # --- what is left ---

    def left_on_admin(self) -> list[str]:
        return [
            *(f"ledger entry at {entry.stage}" for entry in self.ledger.entries()),
            *(f"keys of {tunnel[:8]}" for tunnel in self.admin_vault.tunnels()),
            *(f"server {server.name}" for server in self.cloud.servers()),
            *(f"place of {tags['name']}" for tags in (self.kept.tunnels(self.server) if self.kept else ())),
            *(f"image {image.name}, half-made" for image in self.images.baked() if not image.ready),
            *(f"own node of {tunnel[:8]}" for tunnel in self.own_node.tunnels()),
            *(f"on the standing server: {thing}" for thing in self.left_on_standing()),
            *([] if self.cloud.everything() == [self.foreign] else ["somebody else's server was touched"]),
        ]

    def left_on_standing(self) -> list[str]:
        server, now = self.standing_headscale, self.clock.now()
        lets_in = [
            key for key in server.keys.values() if not key.used and key.expires is not None and key.expires > now
        ]
        rules = read_policy(server.policy.text) if server.policy else ()
        return [
            *(f"node {node.name}" for node in server.nodes.values()),
            *(f"user {user.name}" for user in server.users.values()),
            *(f"key {key.id}" for key in lets_in),
            *(f"rule of {rule.device}" for rule in rules),
        ]

    def left_on_device(self) -> list[str]:
        return [
            *(f"on {short}: {', '.join(sorted(self.device.holds[short]))}" for short in self.device.traces()),
            *(f"vault of {tunnel[:8]}" for tunnel in self.device_vault.tunnels()),
        ]

    def left(self) -> list[str]:
        return [*self.left_on_admin(), *self.left_on_device()]

    def mailbox_closed(self) -> bool:
        box = self.office.box(self.tunnel)
        return box is None or box.closed

    def end(self) -> None:
        self.turns.end()

    def expired(self, name: str = "support-tunnel-0000dead") -> Server:
        """A server of ours, past its own time, that no ledger knows."""
        tags = {"st-tunnel": "0000dead" * 4, "st-owner": "x", "st-expires": str(int(self.clock.now().timestamp()) - 1)}
        return self.cloud.create(ServerSpec(name=name, user_data="", expires=self.clock.now(), tags=tags))

    # --- what the fakes call ---

    def _joins(self, kind: str) -> None:
        """A node joins by the key of its kind that was made last. Raises CoordinatorError as it is told."""
        server = self.standing_headscale if self.standing and kind == "--d-" else self.headscale
        number = [number for number, key in server.keys.items() if any(kind in tag for tag in key.tags)][-1]
        server.join(server.text_of(number), f"node{kind}")

    def _headscale_at(self, url: str) -> FakeHeadscale:
        return self.standing_headscale if self.standing and url == self.standing.url else self.headscale

    def _hand_over(self, code: Code, record: Record) -> None:
        self.code = code

    def _read_aloud(self, digits: str) -> None:
        self.digits = digits

    def _request_timer(self, tunnel: TunnelId, seconds: int) -> None:
        def elapses() -> None:
            self.clock.pause(seconds)
            if "request timer" in self.device.holds[tunnel[:8]]:
                expire(self.device_ports(), tunnel)

        self.turns.start(elapses)

    def _keeper_starts(self, tunnel: TunnelId) -> None:
        self.keepers[tunnel[:8]] = self.turns.start(lambda: self.keeps(tunnel))

    def _keeper_ends(self, short: str) -> None:
        """The keeper's process is gone; ExecStopPost is another one, which nobody kills here."""
        job = self.keepers.pop(short)
        if not job.ended and job is not self.turns.current:
            job.killed = True
        ports = self.device_ports()
        for tunnel in [tunnel for tunnel in ports.vault.tunnels() if tunnel.startswith(short)]:
            end_unless_held(ports, tunnel)
