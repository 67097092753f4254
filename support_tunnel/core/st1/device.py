"""The device's side of ST1: makes one offer, opens at most one answer to it, and lets nobody in by itself.

Keys are dropped as soon as they have done their work; nothing is written anywhere. What the flow may do next stands in
`states`, and `ready` takes the owner's Consent.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from support_tunnel.core.consent import Consent
from support_tunnel.core.errors import ConsentRefused, MessageError, UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import canonical, fields, schedule
from support_tunnel.core.st1.answering import signed_text
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.control import Channel
from support_tunnel.core.st1.entropy import SYSTEM, Entropy
from support_tunnel.core.st1.kem import (
    CIPHERTEXT_LENGTH,
    CLASSICAL,
    HYBRID,
    KemPrivate,
    mlkem_available,
    require_mlkem,
)
from support_tunnel.core.st1.payloads import Answer, Confirm, Offer, Ready, Transport
from support_tunnel.core.st1.seal import (
    ANSWER,
    CONFIRM,
    LONGEST_MESSAGE,
    OFFER,
    READY,
    Header,
    Kind,
    not_open,
    payload,
    seal,
    split,
    unseal,
)
from support_tunnel.core.st1.signer import SignerIdentity, Trust, verify_signer
from support_tunnel.core.states import DEVICE_MOVES, DeviceState, Lifecycle

__all__ = ["DIGIT_TRIES", "DeviceOffer", "DeviceSession"]

DIGIT_TRIES: Final = 3


class DeviceOffer:
    """One offer under one code."""

    def __init__(
        self, offer: Offer, prk: Secret[bytes], kem: KemPrivate, nonce: bytes, message: bytes, entropy: Entropy
    ) -> None:
        self.offer = offer
        self.message = message
        """M1, the whole bytes for the mailbox."""
        self.tunnel = schedule.tunnel_id(prk.reveal())
        self.network = schedule.network(prk.reveal())
        """The tunnel's own /64."""
        self._lifecycle = Lifecycle(DeviceState.OFFERED, DEVICE_MOVES)
        self._prk: Secret[bytes] | None = prk
        self._kem: KemPrivate | None = kem
        self._nonce = nonce
        self._entropy = entropy

    @classmethod
    def make(
        cls,
        code: Code,
        *,
        scope: Scope,
        max_ttl: int,
        name: str,
        wireguard_public: str,
        ssh_host_key: str,
        now: datetime,
        transports: Sequence[Transport] = ("wireguard",),
        allow_classical: bool = False,
        entropy: Entropy = SYSTEM,
    ) -> DeviceOffer:
        """Seal an offer. `max_ttl` in seconds. Raises UsageError `crypto.mlkem` or `msg.value` with the field's name.

        `allow_classical` does not turn ML-KEM off; it permits an offer where the library has none.
        """
        if not allow_classical:
            require_mlkem()
        suite = HYBRID if mlkem_available() else CLASSICAL
        kem = KemPrivate(suite, entropy)
        nonce = entropy.token(32)
        offer = Offer(
            suite=suite,
            kem=kem.public,
            wireguard_public=wireguard_public,
            ssh_host_key=ssh_host_key,
            scope=scope,
            max_ttl=max_ttl,
            transports=tuple(transports),
            time=now,
            name=name,
            sas_commitment=schedule.sas_commitment(nonce),
        )
        try:
            Offer.from_json(offer.to_json())
        except MessageError as error:
            raise UsageError(error.code, error.message) from None
        text = canonical.dumps(offer.to_json())
        message = seal(code.prk.reveal(), Header(OFFER, code.tunnel), text, entropy)
        return cls(offer, code.prk, kem, nonce, message, entropy)

    def dump(self) -> Secret[bytes]:
        """Everything another process of this device needs to read an answer later; belongs on tmpfs, 0600, and is dropped
        before CONFIRM reveals the nonce: a second process that read a second answer could be ground to any digits (2.3).
        """
        if self._prk is None or self._kem is None:
            raise WrongState("state", "this offer was answered already, or has ended")
        return Secret(
            canonical.dumps(
                {
                    "kem": fields.encoded(self._kem.dump().reveal()),
                    "m1": fields.encoded(self.message),
                    "nonce": fields.encoded(self._nonce),
                    "prk": fields.encoded(self._prk.reveal()),
                }
            )
        )

    @classmethod
    def load(cls, dumped: Secret[bytes], *, entropy: Entropy = SYSTEM) -> DeviceOffer:
        """Raises UsageError `offer.dump` for anything `dump` did not write."""
        try:
            found = fields.record(canonical.loads(dumped.reveal()), "request", _DUMPED)
            prk = Secret(fields.fixed_bytes(found["prk"], "prk", low=32, high=32))
            message = fields.fixed_bytes(found["m1"], "m1", low=1, high=LONGEST_MESSAGE)
            header, rest = split(message, Header(OFFER, schedule.tunnel_id(prk.reveal())))
            offer = Offer.from_json(payload(OFFER, unseal(prk.reveal(), header, rest)))
            kem = KemPrivate.load(offer.suite, Secret(fields.fixed_bytes(found["kem"], "kem", low=32, high=96)))
            nonce = fields.fixed_bytes(found["nonce"], "nonce", low=32, high=32)
            if kem.public != offer.kem or schedule.sas_commitment(nonce) != offer.sas_commitment:
                raise ValueError("keys of another offer")
        except (ValueError, MessageError):
            raise UsageError(
                "offer.dump",
                "the saved state of this request is damaged",
                next_step="Stop it and ask again; cleaning up works by name.",
            ) from None
        return cls(offer, prk, kem, nonce, message, entropy)

    @property
    def state(self) -> DeviceState:
        return self._lifecycle.state

    def open_answer(self, m2: bytes, *, trust: Trust, now: datetime) -> DeviceSession:
        """Open M2 and check all of it, the signer included. Raises MessageError.

        `msg.auth|kind|transcript`: it did not open, nothing changed, another may come (tell the owner). `answer.late`: one
        opened before. Everything else: it opened, is refused, and the tunnel is over (2.3).
        """
        if self._prk is None or self._kem is None or self.state is not DeviceState.OFFERED:
            raise MessageError("answer.late", "this offer was answered already, or has ended", next_step=_AGAIN)
        m1_hash = schedule.sha256(self.message)
        header, rest = split(m2, Header(ANSWER, self.tunnel, m1_hash))
        end = CIPHERTEXT_LENGTH[self.offer.suite]
        ciphertext, ephemeral, sealed = rest[:end], rest[end : end + 32], rest[end + 32 :]
        try:
            agreed = self._kem.agree(ciphertext=ciphertext, ephemeral=ephemeral, m1_hash=m1_hash, header=header.pack())
        except ValueError:
            not_open()
        prk2 = schedule.session_key(self._prk.reveal(), agreed)
        text = unseal(prk2, header, sealed, also=ciphertext + ephemeral)
        # Opened: from here on no second answer, whatever this one says. Once the nonce is out, an attacker with the code
        # could otherwise grind another answer to the same six digits (2^20 work).
        self._lifecycle.move(DeviceState.ANSWERED)
        self._prk = self._kem = None
        try:
            answer = Answer.from_json(payload(ANSWER, text))
            signed = signed_text(header, ciphertext, ephemeral, answer)
            signer = verify_signer(answer.signer, signed, answer.signature, trust=trust, now=now)
            self._check_grant(answer)
        except MessageError:
            self._lifecycle.stop()
            raise
        h2 = schedule.transcript(self.message, m2)
        return DeviceSession(self, answer, signer, Secret(prk2), h2, self._lifecycle, self._nonce, self._entropy)

    def stop(self) -> None:
        """Final; keys are dropped. Stopping twice is fine."""
        self._lifecycle.stop()
        self._prk = self._kem = None

    def _check_grant(self, answer: Answer) -> None:
        if not answer.scope.within(self.offer.scope):
            raise MessageError("scope.exceeds", "the helper wants more than was offered", next_step=_AGAIN)
        if answer.ttl > self.offer.max_ttl:
            raise MessageError("ttl.exceeds", "the helper wants more time than was offered", next_step=_AGAIN)
        if any(path.transport not in self.offer.transports for path in answer.paths):
            raise MessageError("msg.value", "the helper wants a transport that was not offered", next_step=_AGAIN)


class DeviceSession:
    """An answer that opened and held; what is still missing is the owner. Satisfies `consent.Asking`."""

    def __init__(
        self,
        made: DeviceOffer,
        answer: Answer,
        signer: SignerIdentity,
        key: Secret[bytes],
        transcript: bytes,
        lifecycle: Lifecycle[DeviceState],
        nonce: bytes,
        entropy: Entropy,
    ) -> None:
        self.tunnel: TunnelId = made.tunnel
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
                    next_step=_AGAIN,
                )
        return self._matched

    def ready(self, *, consent: Consent, user: str, until: datetime, path: int, log_head: str) -> bytes:
        """M4: the door is open, with the owner's consent to exactly this. Raises WrongState `consent.other`, `ttl.exceeds`."""
        self._lifecycle.require(DeviceState.ANSWERED)
        mine = (self.tunnel, self.answer.name, self.signer.fingerprint, self.signer.organisation, self.answer.scope)
        theirs = (consent.tunnel, consent.name, consent.fingerprint, consent.organisation, consent.scope)
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


_DUMPED: Final = frozenset({"kem", "m1", "nonce", "prk"})
_AGAIN: Final = "Make a new request; its code replaces this one."
