"""A cloud's settings are checked before anything is contacted, and its words are told without what was sent to it."""

from __future__ import annotations

import re

import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.google import GoogleBaseError

from support_tunnel.adapters.cloud_failure import as_cloud_error
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.adapters.clouds import words
from support_tunnel.adapters.clouds.drivers import driver_class
from support_tunnel.adapters.clouds.told import check
from support_tunnel.core.errors import CloudError, UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock
from tests.adapters.memory_cloud import SPEC

REMOTE = sorted(name for name, row in CLOUDS.items() if name != "local")
LAUNCHING = [name for name in REMOTE if name != "static"]
"""What a machine that exists already is like nobody chooses."""
WHERE = "support_tunnel/clouds/x"


def enough(name: str) -> dict[str, str]:
    """The least that this cloud's settings need."""
    return {
        setting.name: "file:/nowhere" if setting.secret else "word"
        for setting in CLOUDS[name].settings
        if setting.needed
    }


@pytest.mark.parametrize("name", sorted(CLOUDS))
def test_an_unknown_key_is_refused_with_its_path(name: str) -> None:
    with pytest.raises(UsageError, match="support_tunnel/clouds/x/regoin is not known") as refused:
        check(CLOUDS[name], {**enough(name), "regoin": "here"}, WHERE)
    assert refused.value.code == "config.unknown"


@pytest.mark.parametrize("name", REMOTE)
def test_what_is_needed_is_missed_by_name(name: str) -> None:
    for missing in enough(name):
        with pytest.raises(UsageError, match=f"{WHERE}/{missing} is missing"):
            check(CLOUDS[name], {key: value for key, value in enough(name).items() if key != missing}, WHERE)


@pytest.mark.parametrize("name", REMOTE)
def test_a_secret_is_never_a_value(name: str) -> None:
    for setting in CLOUDS[name].settings:
        if setting.secret:
            with pytest.raises(UsageError) as refused:
                check(CLOUDS[name], {**enough(name), setting.name: "hunter2"}, WHERE)
            assert refused.value.code == "config.secret"
            assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("value", [True, None, ["a"], {"a": "b"}, "two\nlines"])
def test_a_setting_is_one_line_of_text(value: object) -> None:
    with pytest.raises(UsageError, match="one line of text"):
        check(CLOUDS["ec2"], {**enough("ec2"), "region": value}, WHERE)


@pytest.mark.parametrize("name", LAUNCHING)
def test_every_row_says_what_a_person_has_to_know(name: str) -> None:
    row = CLOUDS[name]
    assert row.title
    assert row.console.startswith("https://")
    assert row.permissions
    assert set(row.sizes) == {"small", "medium"}
    assert {"debian-12", "debian-13"} <= set(row.images)
    assert row.user_data_limit > 8_000, "ours is a third of that"
    assert row.billed_when_off or row.ends_itself


@pytest.mark.parametrize(
    ("name", "given", "missing"),
    [
        ("ec2", {}, "access_key and secret_key, or credentials"),
        ("ec2", {"access_key": "AKIAEXAMPLE"}, "access_key and secret_key, or credentials"),
        ("gce", {}, "key or token"),
        ("azure", {}, "client and client_secret, or token"),
    ],
)
def test_a_cloud_that_takes_one_of_two_credentials_misses_both(name: str, given: dict[str, str], missing: str) -> None:
    with pytest.raises(UsageError, match=missing) as refused:
        LibcloudCloud(name, {**enough(name), **given}, ManualClock()).servers()
    assert refused.value.code == "config.missing"


@pytest.mark.parametrize("text", ["", "AKIA", "[]", "null", '{"AccessKeyId": "AKIA"}'])
def test_a_temporary_key_that_is_none_is_told_without_its_text(text: str) -> None:
    cloud = LibcloudCloud(
        "ec2", {**enough("ec2"), "credentials": "file:/x"}, ManualClock(), secret=lambda *_: Secret(text)
    )
    with pytest.raises(UsageError, match="export-credentials") as refused:
        cloud.servers()
    assert refused.value.code == "config.value"
    assert "AKIA" not in str(refused.value)


def test_user_data_that_a_cloud_does_not_take_is_refused_before_anything_is_sent() -> None:
    from dataclasses import replace

    cloud = LibcloudCloud("ec2", enough("ec2"), ManualClock())
    with pytest.raises(CloudError, match="16384 bytes"):
        cloud.create(replace(SPEC, user_data="#" * 20_000))


def test_libclouds_log_of_whole_requests_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBCLOUD_DEBUG", "/tmp/libcloud.log")  # noqa: S108 - never opened
    with pytest.raises(UsageError, match="LIBCLOUD_DEBUG"):
        driver_class("ec2")


def test_libclouds_own_retries_stay_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """They send a create again; any text in its variable, "false" too, turns them on at import."""
    from libcloud.common import base

    monkeypatch.setattr(base, "RETRY_FAILED_HTTP_REQUESTS", True)
    driver_class("ec2")
    assert base.RETRY_FAILED_HTTP_REQUESTS is False


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BaseHTTPError(400, "InvalidParameterValue: Invalid value 't9.tiny'."), "InvalidParameterValue: Invalid value 't9.tiny'"),
        (BaseHTTPError(401, "bad\x1b[31m\nkey"), "bad [31m key"),
        (GoogleBaseError({"message": "Quota exceeded", "domain": "x"}, 403, "QUOTA_EXCEEDED"), "Quota exceeded"),
    ],
)  # fmt: skip
def test_the_clouds_own_message_is_told(error: Exception, told: str) -> None:
    assert as_cloud_error("x", error).message.endswith(f" says: {told}")


@pytest.mark.parametrize(
    "text",
    [
        "POST /v1/servers refused",
        "https://host/?Action=RunInstances&UserData=abc",
        "Authorization: Bearer abc",
        "#cloud-config is not allowed",
        "the token my-secret is wrong",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_a_message_that_could_hold_what_was_sent_is_not_told(text: str) -> None:
    told = as_cloud_error("x", BaseHTTPError(400, text), hidden=["my-secret"]).message
    assert "says" not in told


def test_no_word_of_a_message_is_longer_than_a_persons() -> None:
    told = as_cloud_error("x", BaseHTTPError(400, "wrong " + "QUJD" * 40)).message
    assert told.endswith("says: wrong")


@pytest.mark.parametrize(
    "text",
    ["ann", "Ann.B@host.example", "Zoë_1", "", "a_2e", "Ünal", "-ann-", "--", "-", "_", "x_A", "x_-", "x__41", "0A", "a--b", "A\nB"],
)  # fmt: skip
def test_any_text_fits_into_a_label_and_comes_back(text: str) -> None:
    assert words.heard(words.spoken(text, 200)) == text
    for said in (words.spoken(text, 200), *(words.spoken(text * 30 + "-" * 90, limit) for limit in range(20, 64))):
        assert re.fullmatch(r"([a-z0-9]([a-z0-9_-]*[a-z0-9])?)?", said), said
    assert len(words.spoken(text * 30)) <= 63
    words.heard(words.spoken("ë" * 40))


def test_a_label_of_before_is_still_understood() -> None:
    assert words.heard("_41nn_40pc-") == "Ann@pc-"


@pytest.mark.parametrize(
    ("name", "region", "price"),
    [
        ("ec2", "us-east-1", 0.0104),
        ("ec2", "eu-central-1", None),  # libcloud's list says 0.0, which is no price
        ("ec2", "mars-1", None),
        ("gce", "us-central1-a", 0.0084),
        ("gce", "mars-a", None),
        ("azure", "westeurope", 0.012),
        ("azure", "mars", None),
    ],
)
def test_a_price_is_listed_or_unknown_and_never_nothing(name: str, region: str, price: float | None) -> None:
    """A cap would let through what seems to be free."""
    told = {**{setting.name: setting.default for setting in CLOUDS[name].settings}, "region": region}
    assert CLOUDS[name].hourly(None, SPEC, told) == (None if price is None else pytest.approx(price, rel=0.1))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"host": "server.example"}, "config.value"),
        ({"host_key": "ssh-rsa AAAA"}, "config.value"),
        ({"host_key": ""}, "config.missing"),
        ({"login_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "config.secret"),
        ({"tunnels": "0"}, "config.value"),
        ({"tunnels": "many"}, "config.value"),
    ],
)
def test_a_server_that_exists_is_named_whole_before_it_is_contacted(given: dict[str, str], code: str) -> None:
    told = {"host": "192.0.2.1", "host_key": f"ssh-ed25519 {'A' * 68}", "login_key": "file:/nowhere", **given}
    with pytest.raises(UsageError) as refused:
        LibcloudCloud(
            "static", told, ManualClock(), secret=lambda *_: Secret("a key"), besides={"guests": None}
        ).servers()
    assert refused.value.code == code
