"""docs/protocol.md, implemented a second time from the page alone: hashlib, hmac and arithmetic, nothing of ours.

If this reads every known answer, the page is enough for another language. ML-KEM itself is FIPS 203's business: its shared
secret is an input here.

Over 300 lines: a second implementation is read in one piece.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
KAT: dict[str, Any] = json.loads((HERE / "st1_kat.json").read_text())
PAGE = (HERE.parents[1] / "docs" / "protocol.md").read_text()
IN, OUT = KAT["inputs"], KAT["outputs"]
TO_ADMIN, TO_DEVICE = b"device to admin", b"admin to device"


def raw(value: str) -> bytes:
    return bytes.fromhex(value)


# --- notation -------------------------------------------------------------------------------------------------------


def lp(*parts: bytes) -> bytes:
    return b"".join(len(p).to_bytes(4, "big") + p for p in parts)


def h(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf_expand(key: bytes, info: bytes, n: int) -> bytes:
    out = block = b""
    while len(out) < n:
        block = mac(key, block + info + bytes([len(out) // 32 + 1]))
        out += block
    return out[:n]


def expand(key: bytes, label: str, *parts: bytes, n: int = 32) -> bytes:
    return hkdf_expand(key, lp(b"ST1 " + label.encode(), *parts), n)


# --- X25519 (RFC 7748) and ChaCha20-Poly1305 (RFC 8439), slow and plain ------------------------------------------------

P = 2**255 - 19


def x25519(scalar: bytes, point: bytes) -> bytes:
    k = (int.from_bytes(scalar, "little") & ~7 & (1 << 255) - 1) | 1 << 254
    u = int.from_bytes(point, "little") & (1 << 255) - 1
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a, c * b, a * a, b * b
        x3, z3, e = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P, aa - bb
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def chacha_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    words = b"expand 32-byte k" + key + counter.to_bytes(4, "little") + nonce
    start = [int.from_bytes(words[i : i + 4], "little") for i in range(0, 64, 4)]
    s = list(start)

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = s[x] + s[y] & 0xFFFFFFFF
            v = s[z] ^ s[x]
            s[z] = (v << turn | v >> 32 - turn) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return b"".join((x + y & 0xFFFFFFFF).to_bytes(4, "little") for x, y in zip(s, start, strict=True))


def aead_open(key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    text, tag = sealed[:-16], sealed[-16:]
    once = chacha_block(key, 0, nonce)
    r, s = (
        int.from_bytes(once[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF,
        int.from_bytes(once[16:32], "little"),
    )
    covered = aad + bytes(-len(aad) % 16) + text + bytes(-len(text) % 16)
    covered += len(aad).to_bytes(8, "little") + len(text).to_bytes(8, "little")
    total = 0
    for i in range(0, len(covered), 16):
        total = (total + int.from_bytes(covered[i : i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    assert (total + s & (1 << 128) - 1).to_bytes(16, "little") == tag
    stream = b"".join(chacha_block(key, 1 + i, nonce) for i in range((len(text) + 63) // 64))
    return bytes(x ^ y for x, y in zip(text, stream, strict=False))


# --- the page -------------------------------------------------------------------------------------------------------


def read(
    message: bytes, kind: int, direction: bytes, key: bytes, binding: bytes, block: int, extra: int = 0
) -> dict[str, Any]:
    counter = 8 if kind in {5, 6} else 0
    head = 20 + len(binding) + counter
    assert message[:20] == b"ST\x01" + bytes([kind]) + raw(OUT["tid"])
    assert message[20 : 20 + len(binding)] == binding
    aad, sealed = message[: head + extra + 32], message[head + extra + 32 :]
    material = expand(key, "seal", bytes([kind]), direction, aad[-32:], n=44)
    padded = aead_open(material[:32], material[32:], sealed, aad)
    text = padded.rstrip(b" ")
    assert len(padded) == -(-len(text) // block) * block
    found: dict[str, Any] = json.loads(text)
    assert json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == text
    return found


@pytest.fixture(scope="module")
def prk() -> bytes:
    return mac(b"support-tunnel ST1 root", raw(IN["seed"]))


@pytest.fixture(scope="module")
def offer(prk: bytes) -> dict[str, Any]:
    return read(raw(OUT["m1"]), 1, TO_ADMIN, prk, b"", 2304)


@pytest.fixture(scope="module")
def prk2(prk: bytes, offer: dict[str, Any]) -> bytes:
    m1, m2 = raw(OUT["m1"]), raw(OUT["m2"])
    header, ct, e = m2[:52], m2[52:1140], m2[1140:1172]
    mlkem, curve = (base64.b64decode(offer["kem"][name]) for name in ("mlkem768", "x25519"))
    assert curve == x25519(raw(IN["x25519_private"]), (9).to_bytes(32, "little"))
    assert e == x25519(raw(IN["ephemeral_private"]), (9).to_bytes(32, "little"))
    ss2 = x25519(raw(IN["x25519_private"]), e)
    assert ss2 == x25519(raw(IN["ephemeral_private"]), curve)
    extracted = mac(h(m1), lp(raw(IN["mlkem_shared"]), ss2))
    return mac(prk, hkdf_expand(extracted, lp(b"ST1 kem", header, ct, e, mlkem, curve), 32))


@pytest.fixture(scope="module")
def h2() -> bytes:
    return h(lp(b"ST1 transcript", h(raw(OUT["m1"])), raw(OUT["m2"])))


def test_values_of_the_code(prk: bytes) -> None:
    assert prk.hex() == OUT["prk"]
    assert expand(prk, "tid", n=16).hex() == OUT["tid"]
    assert expand(prk, "claim").hex() == OUT["claim"]
    network = (b"\xfd" + expand(prk, "ula", n=7)).hex()
    assert ":".join(network[i : i + 4].lstrip("0") for i in range(0, 16, 4)) + "::/64" == OUT["network"]


def test_text_of_the_code() -> None:
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    bits = "00000" + f"{int(raw(IN['seed']).hex(), 16):0256b}" + "0000"
    values = [int(bits[i : i + 5], 2) for i in range(0, len(bits), 5)]
    check = 1
    for value in [3, 3, 0, 19, 20, *values, 0, 0, 0, 0, 0, 0]:  # "st" as BIP350 spreads it
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for i, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= term * (top >> i & 1)
    check ^= 0x2BC830A3
    text = "st1" + "".join(alphabet[v] for v in values) + "".join(alphabet[check >> 5 * (5 - i) & 31] for i in range(6))
    assert text == OUT["code"]


def page_words() -> list[str]:
    """The list that the page names by its hash. Read as text: importing ours would make this page's test ours."""
    text = (HERE.parents[1] / "support_tunnel/core/st1/word_list.py").read_text()
    words = text.rpartition('"""\n')[0].rpartition('"""\n')[2].split()
    assert f"`{h(''.join(word + chr(10) for word in words).encode()).hex()}`" in PAGE
    return words


@pytest.mark.parametrize("spoken", KAT["spoken"], ids=lambda spoken: str(spoken["words"].split()[0]))
def test_words_of_a_code_and_what_follows_from_them(spoken: dict[str, str]) -> None:
    seed, words = raw(spoken["seed"]), page_words()
    check = int.from_bytes(h(lp(b"ST1 words check", seed)), "big") >> 256 - 15
    bits = f"{int.from_bytes(seed, 'big'):0128b}{check:015b}"
    assert " ".join(words[int(bits[i : i + 11], 2)] for i in range(0, 143, 11)) == spoken["words"]
    key = mac(b"support-tunnel ST1 root", seed)
    assert (key.hex(), expand(key, "tid", n=16).hex()) == (spoken["prk"], spoken["tid"])
    assert expand(key, "claim").hex() == spoken["claim"]
    network = ipaddress.IPv6Network((b"\xfd" + expand(key, "ula", n=7) + bytes(8), 64))
    assert str(network) == spoken["network"]


def test_m1(offer: dict[str, Any]) -> None:
    assert sorted(offer) == sorted(
        [
            "v",
            "suite",
            "kem",
            "wireguard",
            "ssh_host_key",
            "scope",
            "max_ttl",
            "transports",
            "time",
            "name",
            "sas_commitment",
        ]
    )
    assert (offer["name"], offer["suite"], offer["max_ttl"]) == (IN["device_name"], "mlkem768-x25519", 3600)
    assert base64.b64decode(offer["sas_commitment"]) == h(lp(b"ST1 sas commit", raw(IN["sas_nonce"])))


def test_m2_and_what_its_signature_covers(prk2: bytes) -> None:
    m2 = raw(OUT["m2"])
    answer = read(m2, 2, TO_DEVICE, prk2, h(raw(OUT["m1"])), 1024, extra=1120)
    blob = base64.b64decode(answer.pop("signature"))
    assert sorted(answer) == ["name", "paths", "scope", "signer", "ssh_keys", "ttl", "v"]
    key = base64.b64decode(answer["signer"].split()[1])
    algorithm, signature = lp(b"ssh-ed25519"), blob[-64:]
    assert blob == b"SSHSIG" + (1).to_bytes(4, "big") + lp(
        key, b"st1-answer", b"", b"sha512", algorithm + lp(signature)
    )  # fmt: skip
    text = json.dumps(answer, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    covered = lp(m2[:52], m2[52:1140], m2[1140:1172], text)
    signed = b"SSHSIG" + lp(b"st1-answer", b"", b"sha512", hashlib.sha512(covered).digest())
    assert ed25519_holds(key[-32:], signed, signature)


def test_m3_to_m5(prk2: bytes, h2: bytes) -> None:
    assert h2.hex() == OUT["h2"]
    confirm = read(raw(OUT["m3"]), 3, TO_ADMIN, prk2, h2, 256)
    assert (base64.b64decode(confirm["nonce"]), sorted(confirm)) == (raw(IN["sas_nonce"]), ["nonce", "time"])
    ready = read(raw(OUT["m4"]), 4, TO_ADMIN, prk2, h2, 256)
    assert (ready["user"], ready["path"], ready["until"]) == ("st01234567", 1, confirm["time"] + 900)
    for slot, kind, direction, word in (("m5_admin", 5, TO_DEVICE, "ping"), ("m5_device", 6, TO_ADMIN, "stopped")):
        assert read(raw(OUT[slot]), kind, direction, prk2, h2, 256)["control"] == word


def test_digits_and_preshared_key(prk2: bytes, h2: bytes) -> None:
    number = int.from_bytes(expand(prk2, "sas", h2, raw(IN["sas_nonce"]), n=8), "big")
    assert f"{number % 10**6:06d}" == OUT["digits"]
    assert base64.b64encode(expand(prk2, "wireguard psk", h2)).decode() == OUT["psk"]


def test_page_states_the_known_answers() -> None:
    for value in (
        IN["seed"],
        *(OUT[k] for k in ("code", "prk", "tid", "claim", "network", "m1_hash", "h2", "digits", "psk")),
        *KAT["spoken"][0].values(),
    ):
        assert f"`{value}`" in PAGE
    for name, size in (("m1", 2372), ("m2", 2244), ("m3", 356), ("m4", 356), ("m5_admin", 364), ("m5_device", 364)):
        assert len(raw(OUT[name])) == size
        assert str(size) in PAGE


def ed25519_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 8032, 5.1.7, on the curve -x^2 + y^2 = 1 + d x^2 y^2 in affine coordinates."""
    d = -121665 * pow(121666, P - 2, P) % P

    def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        (x1, y1), (x2, y2) = a, b
        t = d * x1 * x2 * y1 * y2 % P
        return (x1 * y2 + x2 * y1) * pow(1 + t, P - 2, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, P - 2, P) % P

    def times(n: int, point: tuple[int, int]) -> tuple[int, int]:
        total = (0, 1)
        for bit in f"{n:b}":
            total = add(total, total)
            if bit == "1":
                total = add(total, point)
        return total

    def unpack(data: bytes) -> tuple[int, int]:
        number = int.from_bytes(data, "little")
        y, sign = number & (1 << 255) - 1, number >> 255
        square = (y * y - 1) * pow(d * y * y + 1, P - 2, P) % P
        x = pow(square, (P + 3) // 8, P)
        if x * x % P != square:
            x = x * pow(2, (P - 1) // 4, P) % P
        return (x if x & 1 == sign else P - x), y

    base = unpack((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little")
    s = int.from_bytes(signature[32:], "little")
    return times(s, base) == add(
        unpack(signature[:32]), times(k % (2**252 + 27742317777372353535851937790883648493), unpack(public))
    )
