"""The authority of one tunnel vouches for one address, and TLS believes it for that one alone."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support_tunnel.core.private_authority import Vouched, vouch_for
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.paths import HeadscalePath, read_path

NOW = datetime.now(UTC)


def made(**changes: datetime) -> Vouched:
    return vouch_for("127.0.0.1", **({"begins": NOW - timedelta(hours=1), "ends": NOW + timedelta(hours=1)} | changes))


def shaken(server: Vouched, authority: str, name: str, folder: Path) -> str:
    """What a client that trusts `authority` alone says of a server with this certificate; `ok` when it takes it."""
    chain, key = folder / "chain", folder / "key"
    chain.write_text(server.certificate)
    key.touch(mode=0o600)
    key.write_text(server.key.reveal())
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(chain, key)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            listening.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        ssl.create_default_context(cadata=authority).wrap_socket(ours, server_hostname=name).close()
    except ssl.SSLCertVerificationError as refused:
        return refused.verify_message
    else:
        return "ok"
    finally:
        ours.close()
        thread.join()


def test_it_is_believed_for_its_address_alone(tmp_path: Path) -> None:
    one = made()
    assert shaken(one, one.authority_pem, "127.0.0.1", tmp_path) == "ok"
    assert "mismatch" in shaken(one, one.authority_pem, "127.0.0.2", tmp_path)
    assert shaken(one, made().authority_pem, "127.0.0.1", tmp_path) != "ok"


def test_its_time_ends(tmp_path: Path) -> None:
    for late in (
        {"ends": NOW - timedelta(minutes=1)},
        {"begins": NOW + timedelta(days=2), "ends": NOW + timedelta(days=3)},
    ):
        other = made(**late)
        assert shaken(other, other.authority_pem, "127.0.0.1", tmp_path) != "ok"


def test_a_path_takes_it() -> None:
    path = HeadscalePath("https://127.0.0.1:443", made().authority, Secret("hskey-auth-" + "k" * 77))
    assert read_path(path.to_json(), ("wireguard", "headscale")) == path
    assert len(path.authority) < 500


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_of_both_families(address: str) -> None:
    assert vouch_for(address, begins=NOW, ends=NOW + timedelta(hours=1)).key != made().key
