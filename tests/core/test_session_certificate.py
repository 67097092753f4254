"""Certificates that are given to us: taken when they are what was asked for, and named for what they are otherwise."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificateBuilder, SSHCertificateType

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.own_certificates import session_certificate, signer_certificate
from support_tunnel.core.session_wish import SessionWish, identity
from support_tunnel.testing.certifying import certificate

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
LINE = ssh_key.public_line(KEY.public_key())
WISH = SessionWish(
    public_key=LINE,
    principal="st-0badcafe",
    identity="st:0badcafe:Ada:T-1",
    after=NOW - timedelta(minutes=5),
    before=NOW + timedelta(minutes=30),
    source="fd12:3456:789a:1::1",
    forwards=False,
)


def certified(key: Ed25519PrivateKey = KEY, *, by: Ed25519PrivateKey = OTHER, **bent: Any) -> str:
    given: dict[str, Any] = {
        "principals": (WISH.principal,),
        "after": WISH.after,
        "before": WISH.before,
        "critical": {"source-address": WISH.source},
        "extensions": WISH.extensions,
    }
    line = ssh_key.public_line(key.public_key())
    return certificate(by, public_key=line, key_id=WISH.identity, **{**given, **bent})


def test_what_was_asked_for_is_taken_without_its_comment() -> None:
    line = certified()
    assert session_certificate(f"{line} ada@example\n", WISH) == line
    ports = replace(WISH, forwards=True)
    both = certified(extensions=("permit-port-forwarding", "permit-pty"))
    assert session_certificate(both, ports) == both


def test_one_that_ends_or_begins_nearer_is_taken() -> None:
    line = certified(after=NOW - timedelta(minutes=1), before=NOW + timedelta(minutes=3))
    assert session_certificate(line, WISH) == line


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"key": OTHER}, "certificate.key"),
        ({"kind": SSHCertificateType.HOST}, "certificate.type"),
        ({"principals": ("st-0badcaff",)}, "certificate.principal"),
        ({"principals": ("st-0badcafe", "root")}, "certificate.principal"),
        ({"before": WISH.before + timedelta(seconds=1)}, "certificate.time"),
        ({"after": WISH.after - timedelta(seconds=1)}, "certificate.time"),
        ({"after": NOW + timedelta(seconds=1)}, "certificate.time"),
        ({"before": NOW}, "certificate.time"),
        ({"critical": {}}, "certificate.source"),
        ({"critical": {"source-address": "0.0.0.0/0"}}, "certificate.source"),
        ({"critical": {"force-command": "id", "source-address": WISH.source}}, "certificate.source"),
        ({"extensions": ()}, "certificate.extensions"),
        ({"extensions": ("permit-agent-forwarding", "permit-pty")}, "certificate.extensions"),
        ({"extensions": ("permit-port-forwarding", "permit-pty")}, "certificate.extensions"),
    ],
)
def test_anything_else_is_named(how: dict[str, Any], code: str) -> None:
    with pytest.raises(HostError) as refused:
        session_certificate(certified(**how), WISH)
    assert refused.value.code == code
    assert refused.value.next_step


def test_an_offered_port_needs_its_extension() -> None:
    with pytest.raises(HostError) as refused:
        session_certificate(certified(), replace(WISH, forwards=True))
    assert refused.value.code == "certificate.extensions"


def no_certificates() -> list[str]:
    line = certified()
    ecdsa = SSHCertificateBuilder().public_key(ec.generate_private_key(ec.SECP256R1()).public_key()).serial(1)
    ecdsa = ecdsa.type(SSHCertificateType.USER).key_id(b"x").valid_principals([b"x"]).valid_after(0).valid_before(2)
    return [
        "",
        LINE,
        "Signed user key session-key-cert.pub",
        line[:-9] + ("A" if line[-9] != "A" else "B") + line[-8:],
        line[:200],
        ecdsa.sign(OTHER).public_bytes().decode(),
    ]


@pytest.mark.parametrize("text", no_certificates(), ids=itertools.count())
def test_what_is_no_certificate_is_said_to_be_none(text: str) -> None:
    with pytest.raises(HostError) as refused:
        session_certificate(text, WISH)
    assert refused.value.code == "certificate.unreadable"
    with pytest.raises(UsageError) as mine:
        signer_certificate(text, LINE, now=NOW)
    assert mine.value.code == "signer.certificate"


def test_ones_own_certificate_is_for_ones_own_key_and_still_good() -> None:
    line = certified(principals=("support-tunnel-signer",), critical={})
    assert signer_certificate(f"{line} ada\n", LINE, now=NOW) == line
    for how, code, words in [
        ({"key": OTHER}, "signer.certificate", "another key"),
        ({"kind": SSHCertificateType.HOST}, "signer.certificate", "for hosts"),
        ({"before": NOW}, "signer.expired", "expired at 2026-05-04 12:00 UTC"),
    ]:
        with pytest.raises(UsageError) as refused:
            signer_certificate(certified(**how), LINE, now=NOW)  # type: ignore[arg-type]  # a table of keyword arguments
        assert refused.value.code == code
        assert words in refused.value.message


def test_the_key_id_names_session_admin_and_ticket_in_one_plain_word() -> None:
    tunnel = TunnelId("0badcafe" + "0" * 24)
    assert identity(tunnel, "Ada from Support", "T-1234") == "st:0badcafe:Ada_from_Support:T-1234"
    assert identity(tunnel, "Jürgen", "") == "st:0badcafe:J_rgen:-"
    for ticket in ("a b", "x;id", "$(id)", "a\nb", "x" * 33, "a:b"):
        with pytest.raises(UsageError) as refused:
            identity(tunnel, "Ada", ticket)
        assert refused.value.code == "usage.ticket"


def test_times_are_utc_as_ssh_keygen_reads_them() -> None:
    assert WISH.values()["validity"] == "20260504115500Z:20260504123000Z"
    assert WISH.options == ["-O", "clear", "-O", "permit-pty", "-O", "source-address=fd12:3456:789a:1::1"]
