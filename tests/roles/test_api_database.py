"""What the role `api` makes of a connection string: a file that the service reads, and the addresses that it may reach."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence

import pytest

from support_tunnel.core.secret import Secret
from support_tunnel.desired import compile_roles
from support_tunnel.flows.deploy_api import Acme, Release, StoreAt, api_variables
from tests.roles.hosts import ROLES, TEMPLATES

RELEASE = Release("support_tunnel-0.1.0-py3-none-any.whl", b"a wheel", "")
STRING = "hostaddr=10.1.0.5 dbname=support_tunnel password=hunter2"
NAMED = "SUPPORT_TUNNEL_API_DATABASE=file:/etc/support_tunnel/api_database"


def files(store: StoreAt | None) -> str:
    """Every file that the role writes, one after the other: in the script they are base64."""
    given = api_variables(RELEASE, domain="api.example.org", certificate=Acme("ops@example.org"), store=store)
    script = compile_roles(ROLES, ["api"], given, templates=TEMPLATES).script.reveal()
    words = [word for word in re.findall(r"[A-Za-z0-9+/]{40,}={0,2}", script) if len(word) % 4 == 0]
    return "\n".join(b64decode(word).decode(errors="replace") for word in words)


@pytest.mark.parametrize("addresses", [(), ("10.1.0.5",), ("10.1.0.5", "2001:db8::/64")])
def test_the_string_is_in_one_file_and_the_service_reaches_what_was_named(addresses: Sequence[str]) -> None:
    text = files(StoreAt(Secret(STRING), addresses))
    assert text.count("hunter2") == 1
    assert text.count(NAMED) == 2  # the unit and the command
    allowed = [line for line in text.splitlines() if line.startswith("IPAddressAllow=")]
    assert allowed == ["IPAddressAllow=localhost", *(f"IPAddressAllow={address}" for address in addresses)]


def test_without_one_nothing_is_said_of_a_database() -> None:
    text = files(None)
    assert NAMED not in text
    assert "postgresql.service" not in text
    assert [line for line in text.splitlines() if line.startswith("IPAddressAllow=")] == ["IPAddressAllow=localhost"]
