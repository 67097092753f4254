"""The device's side of an answer that opened and held: confirms it, compares the digits, and says when the door is open.

Lets nobody in by itself: what the flow may do next stands in `states`, and `ready` takes the owner's Consent.
"""

from __future__ import annotations

import base64
import hmac
import re
from datetime import datetime, timedelta
from typing import Final

from support_tunnel.core.consent import Consent
from support_tunnel.core.errors import ConsentRefused, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import canonical, schedule
from support_tunnel.core.st1.control import Channel
from support_tunnel.core.st1.entropy import Entropy
from support_tunnel.core.st1.payloads import Answer, Confirm, Ready
from support_tunnel.core.st1.seal import CONFIRM, READY, Header, Kind, seal
from support_tunnel.core.st1.signer import SignerIdentity
from support_tunnel.core.states import DeviceState, Lifecycle

__all__ = ["AGAIN", "DIGIT_TRIES", "DeviceSession"]

DIGIT_TRIES: Final = 3
AGAIN: Final = "Make a new request; its code replaces this one."
"""What an owner does when this tunnel is over."""


class DeviceSession:
    """An answer that opened and held; what is still missing is the owner. Satisfies `consent.Asking`."""

    def __init__(
        self,
        tunnel: TunnelId,
        answer: Answer,
        signer: SignerIdentity,
        key: Secret[bytes],
        transcript: bytes,
        lifecycle: Lifecycle[DeviceState],
        nonce: bytes,
        entropy: Entropy,
    ) -> None:
        self.tunnel = tunnel
        self.answer = answer
        self.signer = signer
        self.transcript = transcript
        """h2, for receipts."""
        self._lifecycle = lifecycle
        self._key: Secret[bytes] | None = key
        self._nonce = nonce
        self._entropy = entropy
        self._confirm: tuple[datetime, bytes] | None = None
        self._wrong = 0
        self._matched = False

    @property
    def state(self) -> DeviceState:
        return self._lifecycle.state

    @property
    def until(self) -> datetime:
        """The end, by this device's clock: `ttl` after `confirm`. Raises WrongState `state` before it."""
        return self._confirmed()[0] + timedelta(seconds=self.answer.ttl)

    @property
    def digits_matched(self) -> bool:
        return self._matched

    @property
    def psk(self) -> Secret[bytes]:
        return Secret(schedule.wireguard_psk(self._live_key(), self.transcript))

    @property
    def psk_base64(self) -> Secret[str]:
        """As `wg set ... preshared-key /dev/stdin` reads it."""
        return Secret(base64.b64encode(self.psk.reveal()).decode())

    def confirm(self, now: datetime) -> bytes:
        """M3. The same bytes again when asked again, so that a lost post can be repeated."""
        self._lifecycle.require(DeviceState.ANSWERED)
        if self._confirm is None:
            moment = now.replace(microsecond=0)
            self._confirm = moment, self._seal(CONFIRM, Confirm(self._nonce, moment).to_json())
        return self._confirm[1]

    def digits_match(self, typed: str) -> bool:
        """Whether the owner typed what the admin read aloud. The third wrong entry raises ConsentRefused `sas.wrong`, final."""
        self._lifecycle.require(DeviceState.ANSWERED)
        self._confirmed()
        expected = schedule.sas_digits(self._live_key(), self.transcript, self._nonce)
        self._matched = hmac.compare_digest(re.sub(r"[\s.-]", "", typed).encode(), expected.encode())
        if not self._matched:
            self._wrong += 1
            if self._wrong >= DIGIT_TRIES:
                self.stop()
                raise ConsentRefused(
                    "sas.wrong",
                    "the digits were wrong three times: perhaps you speak with somebody else than the one who answered",
                    next_step=AGAIN,
                )
        return self._matched

    def ready(self, *, consent: Consent, user: str, until: datetime, path: int, log_head: str) -> bytes:
        """M4: the door is open, with the owner's consent to exactly this. Raises WrongState `consent.other`, `ttl.exceeds`."""
        self._lifecycle.require(DeviceState.ANSWERED)
        answer, signer = self.answer, self.signer
        mine = (self.tunnel, answer.name, signer.fingerprint, signer.organisation, answer.scope, answer.helpers)
        theirs = (
            consent.tunnel, consent.name, consent.fingerprint, consent.organisation, consent.scope, consent.helpers
        )  # fmt: skip
        if mine != theirs:
            raise WrongState("consent.other", "this consent was given to something else")
        if until > min(consent.until, self.until):
            raise WrongState("ttl.exceeds", "the session would last longer than what was agreed to")
        if not 0 <= path < len(self.answer.paths):
            raise WrongState("ready.path", "the answer has no such path")
        content = Ready(user, until, path, log_head).to_json()
        Ready.from_json(content)
        message = self._seal(READY, content)
        self._lifecycle.move(DeviceState.ACTIVE)
        return message

    def channel(self) -> Channel:
        """The device's end of the control channel; take it once, it counts."""
        return Channel("device", self.tunnel, Secret(self._live_key()), self.transcript, entropy=self._entropy)

    def stop(self) -> None:
        """Final; keys are dropped. A `channel` taken before can still say `stopped`."""
        self._lifecycle.stop()
        self._key = None
        self._nonce = b""

    def _confirmed(self) -> tuple[datetime, bytes]:
        if self._confirm is None:
            raise WrongState("state", "the answer was not confirmed yet")
        return self._confirm

    def _live_key(self) -> bytes:
        if self._key is None:
            raise WrongState("state", "the tunnel has stopped and its keys are gone")
        return self._key.reveal()

    def _seal(self, kind: Kind, content: dict[str, object]) -> bytes:
        header = Header(kind, self.tunnel, self.transcript)
        return seal(self._live_key(), header, canonical.dumps(content), self._entropy)
