"""Control messages after the answer (M5 and on): sealed per direction, with a counter that only rises.

Loss is allowed, order and repetition are not. A channel can be handed to another process by `dump` and `load`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import canonical, fields
from support_tunnel.core.st1.entropy import SYSTEM, Entropy
from support_tunnel.core.st1.payloads import Control, ControlKind
from support_tunnel.core.st1.seal import ADMIN_CONTROL, DEVICE_CONTROL, Header, Kind, payload, seal, split, unseal

__all__ = ["Channel", "Side"]

Side = Literal["admin", "device"]
_SENDS: Final[dict[Side, Kind]] = {"admin": ADMIN_CONTROL, "device": DEVICE_CONTROL}
_HEARS: Final[dict[Side, Kind]] = {"admin": DEVICE_CONTROL, "device": ADMIN_CONTROL}
_KEPT: Final = frozenset({"heard", "key", "sent", "side", "transcript", "tunnel"})
_LAST: Final = 2**63 - 1


class Channel:
    """One side's end of the control channel."""

    __slots__ = ("_heard", "_key", "_sent", "_transcript", "entropy", "side", "tunnel")

    def __init__(
        self, side: Side, tunnel: TunnelId, key: Secret[bytes], transcript: bytes, *, entropy: Entropy = SYSTEM
    ) -> None:
        self.side = side
        self.tunnel = tunnel
        self.entropy = entropy
        self._key = key
        self._transcript = transcript
        self._sent = 0
        self._heard = 0

    def send(self, kind: ControlKind, log_head: str, *, now: datetime) -> bytes:
        """Make the next message. `log_head` is 64 hex digits, this side's audit log."""
        # At least the time in milliseconds: a second process that took up an older dump (`stop` beside a keeper) still
        # counts on from what the first one sent, instead of having its stop refused as a replay.
        counter = max(self._sent + 1, int(now.timestamp() * 1000))
        control = Control(kind, log_head, now, counter)
        Control.from_json(control.to_json(), counter)
        blob = seal(
            self._key.reveal(),
            self._header(_SENDS[self.side], counter),
            canonical.dumps(control.to_json()),
            self.entropy,
        )
        self._sent = counter
        return blob

    def receive(self, blob: bytes) -> Control:
        """Open the other side's next message. Raises MessageError `msg.*`; one refused changes nothing."""
        header, rest = split(blob, self._header(_HEARS[self.side], None))
        content = payload(header.kind, unseal(self._key.reveal(), header, rest))
        counter = header.counter or 0
        if counter <= self._heard:
            raise MessageError("msg.replay", "this control message is older than one that already came")
        control = Control.from_json(content, counter)
        self._heard = counter
        return control

    def dump(self) -> Secret[bytes]:
        """Everything another process needs to go on; belongs on tmpfs, 0600."""
        return Secret(
            canonical.dumps(
                {
                    "heard": self._heard,
                    "key": fields.encoded(self._key.reveal()),
                    "sent": self._sent,
                    "side": self.side,
                    "transcript": self._transcript.hex(),
                    "tunnel": self.tunnel,
                }
            )
        )

    @classmethod
    def load(cls, dumped: Secret[bytes], *, entropy: Entropy = SYSTEM) -> Channel:
        """Raises UsageError `channel.dump` for anything `dump` did not write."""
        try:
            found = fields.record(canonical.loads(dumped.reveal()), "channel", _KEPT)
            side: Side = "admin" if fields.choice(found["side"], "side", ("admin", "device")) == "admin" else "device"
            tunnel = TunnelId(fields.pattern(found["tunnel"], "tunnel", fields.TUNNEL, "a tunnel id"))
            key = Secret(fields.fixed_bytes(found["key"], "key", low=32, high=32))
            transcript = bytes.fromhex(fields.pattern(found["transcript"], "transcript", fields.HEAD, "64 hex digits"))
            channel = cls(side, tunnel, key, transcript, entropy=entropy)
            channel._sent = fields.integer(found["sent"], "sent", low=0, high=_LAST)
            channel._heard = fields.integer(found["heard"], "heard", low=0, high=_LAST)
        except (ValueError, MessageError):
            raise UsageError(
                "channel.dump",
                "the saved state of this session is damaged",
                next_step="Stop the tunnel; cleaning up works by name.",
            ) from None
        return channel

    def _header(self, kind: Kind, counter: int | None) -> Header:
        return Header(kind, self.tunnel, self._transcript, counter)
