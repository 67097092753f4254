"""Every packet on a bridge, kept by tcpdump and put together again: what an observer of the whole network has in hand.

A text that is cut in two by packets must still be found, so TCP streams are reassembled before they are searched.
"""

from __future__ import annotations

import base64
import re
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

ETHERNET = 1
HEADERS = {0x0800: "IPv4", 0x86DD: "IPv6"}
TCP, UDP = 6, 17
SYN = 0x02


@dataclass(frozen=True, slots=True)
class Packet:
    protocol: int
    source: tuple[str, int]
    target: tuple[str, int]
    payload: bytes
    sequence: int = 0
    starts: bool = False


@dataclass(slots=True)
class Stream:
    """One direction of a TCP connection."""

    source: tuple[str, int]
    target: tuple[str, int]
    start: int
    pieces: dict[int, bytes] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        whole = bytearray()
        for offset, piece in sorted(self.pieces.items()):
            whole[offset : offset + len(piece)] = piece  # sent twice: the same bytes at the same place
        return bytes(whole)


@dataclass(frozen=True, slots=True)
class Capture:
    file: Path

    def packets(self) -> Iterator[Packet]:
        """TCP and UDP packets; one that is only half written yet is left out."""
        data = self.file.read_bytes()
        magic, linktype = struct.unpack_from("<I16xI", data)
        assert (magic, linktype) == (0xA1B2C3D4, ETHERNET)
        at = 24
        while at + 16 <= len(data):
            kept, whole = struct.unpack_from("<8xII", data, at)
            assert kept == whole, "tcpdump cut a packet short"
            frame = data[at + 16 : at + 16 + kept]
            at += 16 + kept
            if len(frame) == kept and (packet := _packet(frame)):
                yield packet

    def datagrams(self) -> list[Packet]:
        return [packet for packet in self.packets() if packet.protocol == UDP]

    def streams(self) -> list[Stream]:
        done: list[Stream] = []
        flowing: dict[tuple[tuple[str, int], tuple[str, int]], Stream] = {}
        for packet in self.packets():
            if packet.protocol != TCP:
                continue
            ends = (packet.source, packet.target)
            if packet.starts or ends not in flowing:
                first = packet.sequence + 1 if packet.starts else packet.sequence
                flowing[ends] = Stream(packet.source, packet.target, first)
                done.append(flowing[ends])
            offset = (packet.sequence - flowing[ends].start) % 2**32
            if packet.payload and offset < 2**31:  # below its start is a keep-alive's byte
                flowing[ends].pieces[offset] = max(flowing[ends].pieces.get(offset, b""), packet.payload, key=len)
        return done

    def haystacks(self) -> list[bytes]:
        """All that can be read: the file as it is (so nothing is missed that is neither TCP nor UDP), and each stream."""
        return [self.file.read_bytes(), *(stream.data for stream in self.streams())]

    def holds(self, needle: bytes) -> bool:
        return any(needle in haystack for haystack in self.haystacks())


def _packet(frame: bytes) -> Packet | None:
    kind = HEADERS.get(int.from_bytes(frame[12:14], "big"))
    if kind == "IPv4":
        head, length, protocol = (frame[14] & 15) * 4, int.from_bytes(frame[16:18], "big"), frame[23]
        addresses, body = (frame[26:30], frame[30:34]), frame[14 + head : 14 + length]
    elif kind == "IPv6":
        length, protocol = int.from_bytes(frame[18:20], "big"), frame[20]
        addresses, body = (frame[22:38], frame[38:54]), frame[54 : 54 + length]
    else:
        return None
    if protocol not in (TCP, UDP):
        return None
    ports = struct.unpack_from(">HH", body)
    source, target = ((str(ip_address(address)), port) for address, port in zip(addresses, ports, strict=True))
    if protocol == UDP:
        return Packet(UDP, source, target, body[8:])
    return Packet(
        TCP,
        source,
        target,
        payload=body[(body[12] >> 4) * 4 :],
        sequence=int.from_bytes(body[4:8], "big"),
        starts=bool(body[13] & SYN),
    )


def spellings(secret: bytes) -> dict[str, bytes]:
    """Every way in which a careless program would write `secret`, in base64 also as a part of something longer."""
    found = {
        "as it is": secret,
        "upper case": secret.upper(),
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
    }
    for before in range(3):
        # Characters that depend on neighbours are left off, so the rest is there whatever stands before and after.
        encoded = base64.b64encode(bytes(before) + secret)
        core = encoded[(0, 2, 3)[before] : (before + len(secret)) // 3 * 4]
        found[f"base64, {before} bytes in"] = core
        found[f"base64url, {before} bytes in"] = core.translate(bytes.maketrans(b"+/", b"-_"))
    return found


@contextmanager
def capturing(interface: str, folder: Path) -> Iterator[Capture]:
    """Keep every packet until the end of the `with`. Fails when the kernel had to drop one."""
    file = folder / "bridge.pcap"
    argv = [
        "tcpdump",
        "-n",
        "-i",
        interface,
        "-U",
        "--immediate-mode",
        "-B",
        "65536",
        "-s",
        "0",
        "-Z",
        "root",
        "-w",
        str(file),
    ]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as tcpdump:
        try:
            assert tcpdump.stderr is not None
            while "listening on" not in (said := tcpdump.stderr.readline()):
                assert said, "tcpdump did not start"
            yield Capture(file)
            tcpdump.send_signal(signal.SIGINT)
            _, words = tcpdump.communicate(timeout=30)
            assert re.search(r"^0 packets dropped by kernel$", words, re.MULTILINE), words
        finally:
            tcpdump.kill()
