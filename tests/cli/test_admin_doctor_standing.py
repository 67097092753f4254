"""`fab doctor` and a standing Headscale server: one thing wrong at a time, and the key is in nothing that is said."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_admin_doctor import answering, fab, troubles, well
from tests.cli.test_stranger import Run
from tests.headscale.authority import Authority, private_authority
from tests.headscale.stub import Stub, serving

__all__ = ["answering", "fab", "well"]

KEY = "hskey-api-" + "k" * 12 + "-" + "s" * 64
NOBODY = (200, "application/json", '{"users":[]}')


@pytest.fixture
def authority() -> Authority:
    return private_authority("127.0.0.1")


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> Iterator[Stub]:
    chain = tmp_path / "chain.pem"
    chain.write_text(authority.chain + authority.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)
    with serving(Stub(tls=tls, replies=[NOBODY])) as stub:
        yield stub


def settings(server: Stub, authority: Authority, folder: Path) -> dict[str, object]:
    (folder / "authority.pem").write_text(authority.authority)
    (folder / "key").write_text(KEY)
    return {
        "headscale_server": server.url,
        "headscale_authority": f"file:{folder / 'authority.pem'}",
        "headscale_key": f"file:{folder / 'key'}",
    }


def test_all_is_well(fab: Run, well: Path, tmp_path: Path, server: Stub, authority: Authority) -> None:
    assert troubles(fab, well, tmp_path, **settings(server, authority, tmp_path)) == {}
    assert "GET /api/v1/user" in server.asked, "the key is tried"
    assert KEY not in fab("doctor", inventory=well).stdout


@pytest.mark.parametrize(
    "wrong", ["nobody there", "another authority", "no key", "another key", "another version", "not whole"]
)
def test_what_is_wrong_is_named(
    fab: Run, well: Path, tmp_path: Path, server: Stub, authority: Authority, wrong: str
) -> None:
    given = settings(server, authority, tmp_path)
    if wrong == "nobody there":
        given["headscale_server"] = "https://127.0.0.1:1"
    elif wrong == "another authority":
        (tmp_path / "authority.pem").write_text(private_authority("127.0.0.1").authority)
    elif wrong == "no key":
        given["headscale_key"] = f"file:{tmp_path / 'nowhere'}"
    elif wrong == "another key":
        server.replies = [(401, "text/plain", "Unauthorized")]
    elif wrong == "another version":
        server.version = (200, "application/json", '{"version":"v0.26.0"}')
    else:
        given["headscale_authority"] = ""
    assert troubles(fab, well, tmp_path, **given) == {"standing": "fail"}
