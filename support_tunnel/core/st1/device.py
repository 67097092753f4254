"""The device's offer: made once, for one code; opens at most one answer, and lets nobody in by itself.

Keys are dropped as soon as they have done their work; nothing is written anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from support_tunnel.core.errors import MessageError, UsageError, WrongState
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import canonical, fields, schedule
from support_tunnel.core.st1.answering import signed_text
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.device_session import AGAIN, DeviceSession
from support_tunnel.core.st1.entropy import SYSTEM, Entropy
from support_tunnel.core.st1.kem import (
    CIPHERTEXT_LENGTH,
    CLASSICAL,
    HYBRID,
    KemPrivate,
    mlkem_available,
    require_mlkem,
)
from support_tunnel.core.st1.payloads import Answer, Offer, Transport
from support_tunnel.core.st1.people import check_helpers
from support_tunnel.core.st1.seal import (
    ANSWER,
    LONGEST_MESSAGE,
    OFFER,
    Header,
    not_open,
    payload,
    seal,
    split,
    unseal,
)
from support_tunnel.core.st1.signer import SignerIdentity, Trust, verify_signer
from support_tunnel.core.states import DEVICE_MOVES, DeviceState, Lifecycle

__all__ = ["DeviceOffer"]


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
        except (ValueError, MessageError):
            raise _damaged() from None
        if kem.public != offer.kem or schedule.sas_commitment(nonce) != offer.sas_commitment:
            raise _damaged()
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
            raise MessageError("answer.late", "this offer was answered already, or has ended", next_step=AGAIN)
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
            _check_keys(answer, signer, trust)
        except MessageError:
            self._lifecycle.stop()
            raise
        h2 = schedule.transcript(self.message, m2)
        return DeviceSession(self.tunnel, answer, signer, Secret(prk2), h2, self._lifecycle, self._nonce, self._entropy)

    def stop(self) -> None:
        """Final; keys are dropped. Stopping twice is fine."""
        self._lifecycle.stop()
        self._prk = self._kem = None

    def _check_grant(self, answer: Answer) -> None:
        if answer.version != self.offer.version:
            raise MessageError("msg.version", "the answer is in another version than the request", next_step=AGAIN)
        if not answer.scope.within(self.offer.scope):
            raise MessageError("scope.exceeds", "the helper wants more than was offered", next_step=AGAIN)
        if answer.ttl > self.offer.max_ttl:
            raise MessageError("ttl.exceeds", "the helper wants more time than was offered", next_step=AGAIN)
        if any(path.transport not in self.offer.transports for path in answer.paths):
            raise MessageError("msg.value", "the helper wants a transport that was not offered", next_step=AGAIN)


def _check_keys(answer: Answer, signer: SignerIdentity, trust: Trust) -> None:
    """Of the helpers: what only the device knows. A signer's certificate hides that its key is a helper's too."""
    check_helpers(answer.helpers, admin=answer.name, keys=(signer.public_line,), paths=answer.paths)
    if any(helper.fingerprint in trust.revoked for helper in answer.helpers):
        raise MessageError(
            "signer.revoked", "the key of one of the helpers was revoked on this device", next_step=AGAIN
        )


def _damaged() -> UsageError:
    return UsageError(
        "offer.dump",
        "the saved state of this request is damaged",
        next_step="Stop it and ask again; cleaning up works by name.",
    )


_DUMPED: Final = frozenset({"kem", "m1", "nonce", "prk"})
