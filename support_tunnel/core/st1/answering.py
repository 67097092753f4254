"""How M2 is put together (2.3): agree on a key with the offer, sign, seal. Checks nothing that the device has to check itself."""

from __future__ import annotations

from support_tunnel.core.names import TunnelId
from support_tunnel.core.st1 import canonical, schedule
from support_tunnel.core.st1.entropy import Entropy
from support_tunnel.core.st1.kem import KemPublic, encapsulate
from support_tunnel.core.st1.payloads import Answer
from support_tunnel.core.st1.seal import ANSWER, Header, seal
from support_tunnel.core.st1.signer import Signer

__all__ = ["seal_answer", "signed_text"]


def signed_text(header: Header, ciphertext: bytes, ephemeral: bytes, answer: Answer) -> bytes:
    """What the signer signs: the header (with SHA-256(M1)), the key agreement and every field but the signature."""
    return schedule.lp(header.pack(), ciphertext, ephemeral, canonical.dumps(answer.unsigned_json()))


def seal_answer(
    prk: bytes, tunnel: TunnelId, m1: bytes, kem: KemPublic, answer: Answer, signer: Signer, entropy: Entropy
) -> tuple[bytes, Answer, bytes]:
    """Return (M2, the answer with its signature, prk2). Raises MessageError `offer.kem`."""
    m1_hash = schedule.sha256(m1)
    header = Header(ANSWER, tunnel, m1_hash)
    agreed, ciphertext, ephemeral = encapsulate(kem, m1_hash=m1_hash, header=header.pack(), entropy=entropy)
    signed = answer.signed(signer.sign(signed_text(header, ciphertext, ephemeral, answer)))
    prk2 = schedule.session_key(prk, agreed)
    m2 = seal(prk2, header, canonical.dumps(signed.to_json()), entropy, also=ciphertext + ephemeral)
    return m2, signed, prk2
