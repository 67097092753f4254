"""The two ways of the role `api` to a certificate: what would be run, and that it is one of them. No authority is asked."""

from __future__ import annotations

import pytest

from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.desired import compile_roles
from support_tunnel.flows.deploy_api import Acme, Given, Release, api_variables
from tests.roles.hosts import ROLES, TEMPLATES

RELEASE = Release("support_tunnel-0.1.0-py3-none-any.whl", b"a wheel", "")
BY_ACME = api_variables(RELEASE, domain="api.example.org", certificate=Acme("ops@example.org"))
GIVEN = api_variables(RELEASE, domain="api.example.org", certificate=Given("a chain", Secret("a key")))


def script(variables: dict[str, object]) -> str:
    return compile_roles(ROLES, ["api"], variables, templates=TEMPLATES).script.reveal()


def test_by_acme_certbot_fetches_and_renews_and_no_key_is_sent() -> None:
    text = script(BY_ACME)
    assert "st_installed nginx python3-venv certbot" in text
    assert "st_run certbot certonly --standalone --non-interactive --agree-tos --email ops@example.org" in text
    assert "certbot.timer" in text
    assert "tls.key" not in text


def test_given_files_need_no_certbot() -> None:
    text = script(GIVEN)
    assert "certbot" not in text
    assert "tls.key" in text


@pytest.mark.parametrize(
    "variables",
    [BY_ACME | {"api_acme_email": ""}, GIVEN | {"api_key": ""}, GIVEN | {"api_acme_email": "ops@example.org"}],
)
def test_it_is_one_way_and_not_two_and_not_none(variables: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="Give either api_certificate and api_key, or api_acme_email"):
        script(variables)


def test_a_release_is_named_by_all_that_is_in_it() -> None:
    others = [Release(RELEASE.wheel_name, b"another", ""), Release(RELEASE.wheel_name, b"a wheel", "more")]
    assert len({RELEASE.digest, *(other.digest for other in others)}) == 3
