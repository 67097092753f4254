"""The admin's side of ST1: read one offer, answer it once, check the device's confirmation, hear that the door is open.

Holds no code and no prk after the answer. `dump` is for tmpfs, so that another process can post the identical M2 again.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from support_tunnel.core.errors import MessageError, UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import canonical, fields, schedule
from support_tunnel.core.st1.answering import seal_answer
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.control import Channel
from support_tunnel.core.st1.entropy import SYSTEM, Entropy
from support_tunnel.core.st1.kem import CLASSICAL, require_mlkem
from support_tunnel.core.st1.payloads import Answer, Confirm, Offer, Path, Ready, to_seconds
from support_tunnel.core.st1.people import Helper, check_helpers
from support_tunnel.core.st1.seal import CONFIRM, LONGEST_MESSAGE, OFFER, READY, Header, Kind, payload, split, unseal
from support_tunnel.core.st1.signer import Signer
from support_tunnel.core.states import ADMIN_MOVES, AdminState, Lifecycle

__all__ = ["LARGEST_SKEW", "AdminOffer", "AdminSession"]

LARGEST_SKEW: Final = timedelta(hours=24)


class AdminOffer:
    """An offer that opened under the code."""

    def __init__(self, code: Code, m1: bytes, offer: Offer, entropy: Entropy) -> None:
        self.offer = offer
        self.tunnel: TunnelId = code.tunnel
        self._m1 = m1
        self._prk: Secret[bytes] | None = code.prk
        self._entropy = entropy
        self._lifecycle = Lifecycle(AdminState.OFFER_READ, ADMIN_MOVES)

    @classmethod
    def open(cls, code: Code, m1: bytes, *, allow_classical: bool = False, entropy: Entropy = SYSTEM) -> AdminOffer:
        """Open M1 and check all of it. Raises MessageError `msg.*`, `offer.kem`, `offer.classical`; UsageError `crypto.mlkem`."""
        header, rest = split(m1, Header(OFFER, code.tunnel))
        text = unseal(code.prk.reveal(), header, rest)
        if not allow_classical:
            require_mlkem()
        offer = Offer.from_json(payload(OFFER, text))
        if offer.suite == CLASSICAL and not allow_classical:
            raise MessageError(
                "offer.classical",
                "the device has no ML-KEM: what is sent could be read later with a quantum computer by whoever has the code",
                next_step="Have the device updated, or accept that with --allow-classical.",
            )
        return cls(code, m1, offer, entropy)

    @property
    def state(self) -> AdminState:
        return self._lifecycle.state

    def server_up(self) -> None:
        """The tunnel server of the answer's paths runs."""
        self._lifecycle.move(AdminState.SERVER_UP)

    def answer(
        self,
        *,
        paths: Sequence[Path],
        ssh_keys: Sequence[str],
        scope: Scope,
        ttl: int,
        name: str,
        signer: Signer,
        helpers: Sequence[Helper] = (),
        ports: Sequence[int] | None = None,
    ) -> AdminSession:
        """Make M2, once. `ports` instead of those of `scope`; `helpers` log in beside the admin, along Headscale paths only.

        Raises UsageError `scope.exceeds`, `ttl.exceeds` or `msg.value` before anything is made.
        """
        if self._prk is None:
            raise WrongState("state", "this offer was answered already; one code is one offer and one answer")
        granted = scope if ports is None else replace(scope, ports=tuple(ports))
        answer = Answer(
            name,
            tuple(paths),
            tuple(ssh_keys),
            granted,
            ttl,
            signer.line,
            version=self.offer.version,
            helpers=tuple(helpers),
        )
        self._check(answer)
        m2, signed, prk2 = seal_answer(
            self._prk.reveal(), self.tunnel, self._m1, self.offer.kem, answer, signer, self._entropy
        )
        if len(m2) > LONGEST_MESSAGE:
            raise UsageError("msg.value", "the answer is too large; use fewer keys or a smaller certificate")
        if self.state is AdminState.OFFER_READ:
            self.server_up()
        self._lifecycle.move(AdminState.ANSWERED)
        self._prk = None
        h2 = schedule.transcript(self._m1, m2)
        return AdminSession(self.tunnel, self.offer, signed, m2, Secret(prk2), h2, self._lifecycle, self._entropy)

    def _check(self, answer: Answer) -> None:
        if not answer.scope.within(self.offer.scope):
            raise UsageError("scope.exceeds", f"the owner offers no more than: {self.offer.scope.words()}")
        if answer.ttl > self.offer.max_ttl:
            raise UsageError("ttl.exceeds", f"the owner offers no more than {self.offer.max_ttl // 60} minutes")
        if any(path.transport not in self.offer.transports for path in answer.paths):
            raise UsageError("msg.value", "the owner did not offer that transport")
        try:
            # Version 1 would leave them out without a word.
            check_helpers(answer.helpers, admin=answer.name, keys=answer.ssh_keys, paths=answer.paths)
            Answer.from_json(answer.signed(b"\x00").to_json())
        except MessageError as error:
            raise UsageError(error.code, error.message) from None


class AdminSession:
    """One answered tunnel, from the admin's side."""

    def __init__(
        self,
        tunnel: TunnelId,
        offer: Offer,
        answer: Answer,
        message: bytes,
        key: Secret[bytes],
        transcript: bytes,
        lifecycle: Lifecycle[AdminState],
        entropy: Entropy = SYSTEM,
    ) -> None:
        self.tunnel = tunnel
        self.offer = offer
        self.answer = answer
        self.message = message
        """M2, the whole bytes; post these and no others, also after a crash."""
        self.transcript = transcript
        self.device_offset = timedelta(0)
        """Device clock minus ours, as of M3."""
        self._confirmed: datetime | None = None
        self._key: Secret[bytes] | None = key
        self._lifecycle = lifecycle
        self._entropy = entropy

    @property
    def state(self) -> AdminState:
        return self._lifecycle.state

    @property
    def psk(self) -> Secret[bytes]:
        return Secret(schedule.wireguard_psk(self._live_key(), self.transcript))

    @property
    def psk_base64(self) -> Secret[str]:
        """As `wg set ... preshared-key /dev/stdin` reads it."""
        return Secret(base64.b64encode(self.psk.reveal()).decode())

    @property
    def confirmed(self) -> datetime:
        """When the device confirmed, by its own clock. Raises WrongState `state` before M3 was read."""
        if self._confirmed is None:
            raise WrongState("state", "the device has not confirmed yet")
        return self._confirmed

    def read_confirm(self, m3: bytes, now: datetime, *, allow_skew: bool = False) -> str:
        """Open M3 and return the six digits to read aloud. Reading it again gives the same.

        Raises MessageError `msg.*`; `sas.commitment` (final: the tunnel is over); `device.clock` for a clock more than 24
        hours off, unless `allow_skew`.
        """
        self._lifecycle.require(AdminState.ANSWERED, AdminState.CONFIRMED)
        confirm = Confirm.from_json(payload(CONFIRM, self._unseal(CONFIRM, m3)))
        # Commitment before digits: a nonce chosen after R was known could be ground to any digits.
        if not hmac.compare_digest(schedule.sas_commitment(confirm.nonce), self.offer.sas_commitment):
            self.stop()
            raise MessageError(
                "sas.commitment",
                "the device's confirmation does not fit its offer: somebody may sit in between",
                next_step="The tunnel has ended; ask the owner for a new code over another channel.",
            )
        offset = confirm.time - now
        if abs(offset) > LARGEST_SKEW and not allow_skew:
            raise MessageError(
                "device.clock",
                "the device's clock is more than 24 hours off, so times on its screen and in its certificate would be wrong",
                next_step="Ask the owner to set the clock, or accept it with --allow-skew.",
            )
        digits = schedule.sas_digits(self._live_key(), self.transcript, confirm.nonce)
        self.device_offset, self._confirmed = offset, confirm.time
        if self.state is AdminState.ANSWERED:
            self._lifecycle.move(AdminState.CONFIRMED)
        return digits

    def read_ready(self, m4: bytes) -> Ready:
        """Open M4. Reading it again gives the same. Raises MessageError `msg.*`, `ttl.exceeds`."""
        self._lifecycle.require(AdminState.CONFIRMED, AdminState.READY)
        ready = Ready.from_json(payload(READY, self._unseal(READY, m4)))
        if ready.path >= len(self.answer.paths):
            raise fields.wrong("path", "one of the answer's paths")
        if self._confirmed is None or ready.until > self._confirmed + timedelta(seconds=self.answer.ttl):
            raise MessageError("ttl.exceeds", "the device names an end later than was asked for")
        if self.state is AdminState.CONFIRMED:
            self._lifecycle.move(AdminState.READY)
        return ready

    def connected(self) -> None:
        """A login worked."""
        self._lifecycle.move(AdminState.CONNECTED)

    def stop(self) -> None:
        """Final; keys are dropped. A `channel` taken before can still say `stop`."""
        self._lifecycle.stop()
        self._key = None

    def channel(self) -> Channel:
        """The admin's end of the control channel; take it once, it counts."""
        return Channel("admin", self.tunnel, Secret(self._live_key()), self.transcript, entropy=self._entropy)

    def dump(self) -> Secret[bytes]:
        """Everything another process needs to go on; tmpfs, 0600, before M2 is posted (2.3). Not the code, not prk."""
        confirmed = -1 if self._confirmed is None else to_seconds(self._confirmed)
        return Secret(
            canonical.dumps(
                {
                    "answer": self.answer.to_json(),
                    "confirmed": confirmed,
                    "key": fields.encoded(self._live_key()),
                    "m2": fields.encoded(self.message),
                    "offer": self.offer.to_json(),
                    "offset": int(self.device_offset.total_seconds()),
                    "state": self.state.value,
                    "transcript": self.transcript.hex(),
                    "tunnel": self.tunnel,
                }
            )
        )

    @classmethod
    def load(cls, dumped: Secret[bytes], *, entropy: Entropy = SYSTEM) -> AdminSession:
        """Raises UsageError `session.dump` for anything `dump` did not write."""
        try:
            found = fields.record(canonical.loads(dumped.reveal()), "session", _DUMPED)
            state = AdminState(fields.choice(found["state"], "state", tuple(AdminState)))
            session = cls(
                TunnelId(fields.pattern(found["tunnel"], "tunnel", fields.TUNNEL, "a tunnel id")),
                Offer.from_json(found["offer"]),
                Answer.from_json(found["answer"]),
                fields.fixed_bytes(found["m2"], "m2", low=1, high=LONGEST_MESSAGE),
                Secret(fields.fixed_bytes(found["key"], "key", low=32, high=32)),
                bytes.fromhex(fields.pattern(found["transcript"], "transcript", fields.HEAD, "64 hex digits")),
                Lifecycle(state, ADMIN_MOVES),
                entropy,
            )
            confirmed = fields.integer(found["confirmed"], "confirmed", low=-1, high=fields.LATEST)
            offset = fields.integer(found["offset"], "offset", low=-fields.LATEST, high=fields.LATEST)
        except (ValueError, MessageError):
            raise UsageError(
                "session.dump",
                "the saved state of this tunnel is damaged",
                next_step="Stop the tunnel and ask the owner for a new code.",
            ) from None
        session._confirmed = None if confirmed < 0 else datetime.fromtimestamp(confirmed, UTC)
        session.device_offset = timedelta(seconds=offset)
        return session

    def _live_key(self) -> bytes:
        if self._key is None:
            raise WrongState("state", "the tunnel has stopped and its keys are gone")
        return self._key.reveal()

    def _unseal(self, kind: Kind, message: bytes) -> bytes:
        header, rest = split(message, Header(kind, self.tunnel, self.transcript))
        return unseal(self._live_key(), header, rest)


_DUMPED: Final = frozenset({"answer", "confirmed", "key", "m2", "offer", "offset", "state", "transcript", "tunnel"})
