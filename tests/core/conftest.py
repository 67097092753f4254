"""The two sides of one tunnel with all their keys, for the protocol's tests. No clock of the machine, no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from support_tunnel.core import ssh_key, wireguard_key
from support_tunnel.core.consent import by_owner
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import schedule
from support_tunnel.core.st1.admin import AdminOffer, AdminSession
from support_tunnel.core.st1.answering import seal_answer
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.device import DeviceOffer
from support_tunnel.core.st1.device_session import DeviceSession
from support_tunnel.core.st1.entropy import SYSTEM, Entropy
from support_tunnel.core.st1.payloads import Answer, WireguardPath
from support_tunnel.core.st1.signer import KeySigner, Trust

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HEAD = "0f" * 32


@dataclass
class Parties:
    """One code, both sides. Everything a test wants to bend is an argument or a field."""

    code: Code = field(default_factory=Code.generate)
    offered: Scope = field(default_factory=lambda: Scope("shell", (8080,)))
    max_ttl: int = 3600
    trust: Trust = field(default_factory=Trust)
    now: datetime = NOW
    entropy: Entropy = SYSTEM
    signer: Any = None

    def __post_init__(self) -> None:
        self.signer = self.signer or KeySigner.from_openssh(ssh_key.new_keypair()[0])
        self.wireguard = wireguard_key.new_keypair()[1]
        self.host_key = ssh_key.new_keypair()[1]
        self.session_key = ssh_key.new_keypair()[1]

    def offer(self, **changes: Any) -> DeviceOffer:
        wanted: dict[str, Any] = {
            "scope": self.offered,
            "max_ttl": self.max_ttl,
            "name": "kiosk-7",
            "wireguard_public": self.wireguard,
            "ssh_host_key": self.host_key,
            "now": self.now,
            "entropy": self.entropy,
        }
        return DeviceOffer.make(self.code, **{**wanted, **changes})

    def fields(self, **changes: Any) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "paths": [WireguardPath("192.0.2.7:51820", self.wireguard)],
            "ssh_keys": [self.session_key],
            "scope": Scope("shell"),
            "ttl": 600,
            "name": "Ann Support",
            "signer": self.signer,
        }
        return {**wanted, **changes}

    def answer(self, m1: bytes, **changes: Any) -> AdminSession:
        return AdminOffer.open(self.code, m1, entropy=self.entropy).answer(**self.fields(**changes))

    def hostile_answer(self, m1: bytes, *, mutate: Callable[[Answer], Answer] = lambda a: a, **changes: Any) -> bytes:
        """An M2 that a malicious admin tool makes: rightly sealed and signed, without our own tool's checks."""
        return self.hostile(m1, mutate=mutate, **changes)[0]

    def hostile(
        self, m1: bytes, *, mutate: Callable[[Answer], Answer] = lambda a: a, **changes: Any
    ) -> tuple[bytes, Answer, bytes]:
        offer = AdminOffer.open(self.code, m1)
        wanted = self.fields(**changes)
        signer = wanted["signer"]
        answer = Answer(
            wanted["name"],
            tuple(wanted["paths"]),
            tuple(wanted["ssh_keys"]),
            wanted["scope"],
            wanted["ttl"],
            signer.line,
            version=offer.offer.version,
        )
        return seal_answer(
            self.code.prk.reveal(), self.code.tunnel, m1, offer.offer.kem, mutate(answer), signer, self.entropy
        )

    def opened(self, device: DeviceOffer, m2: bytes) -> DeviceSession:
        return device.open_answer(m2, trust=self.trust, now=self.now)

    def connected(self) -> Run:
        device_offer = self.offer()
        admin = self.answer(device_offer.message)
        device = self.opened(device_offer, admin.message)
        m3 = device.confirm(self.now)
        digits = admin.read_confirm(m3, self.now)
        assert device.digits_match(digits)
        m4 = device.ready(consent=by_owner(device), user="st01234567", until=device.until, path=0, log_head=HEAD)
        admin.read_ready(m4)
        return Run(self, device_offer, device, admin, m3, m4, digits)


@dataclass
class Run:
    """A tunnel brought up to READY, with every message on the way."""

    parties: Parties
    device_offer: DeviceOffer
    device: DeviceSession
    admin: AdminSession
    m3: bytes
    m4: bytes
    digits: str

    @property
    def m1(self) -> bytes:
        return self.device_offer.message

    @property
    def m2(self) -> bytes:
        return self.admin.message


def tape(seed: str) -> Entropy:
    """Randomness that is the same each time, drawn in order."""
    drawn = [0]

    def token(count: int) -> bytes:
        drawn[0] += 1
        return schedule.expand(schedule.sha256(seed.encode()), b"tape", drawn[0].to_bytes(4, "big"), length=count)

    return replace(SYSTEM, token=token)


@pytest.fixture(scope="session")
def make_parties() -> type[Parties]:
    return Parties


@pytest.fixture
def parties() -> Parties:
    return Parties()


@pytest.fixture(scope="session")
def make_tape() -> Callable[[str], Entropy]:
    return tape


@pytest.fixture(scope="session")
def zero_code() -> Code:
    return Code(Secret(bytes(32)))
