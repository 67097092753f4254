"""What answers may be a proxy, a login page, another version or a liar: each is an error with a code of its own, and none is absence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from support_tunnel.adapters.headscale import line
from support_tunnel.adapters.headscale.client import HeadscaleClient
from support_tunnel.core.errors import CoordinatorError, SupportTunnelError
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock
from tests.headscale.stub import Reply, Stub, serving

KEY = Secret("hskey-api-" + "k" * 12 + "-" + "s" * 64)
HTML = "<!doctype html><title>Welcome</title>"
JSON = "application/json"
NOW = "2030-01-01T00:00:00Z"

Call = Callable[[HeadscaleClient], object]

READS: dict[str, Call] = {
    "health": lambda client: client.health(),
    "users": lambda client: client.users(),
    "join keys": lambda client: client.join_keys(),
    "nodes": lambda client: client.nodes(),
    "node": lambda client: client.node("7"),
    "policy": lambda client: client.policy(),
    "API keys": lambda client: client.api_keys(),
}
CHANGES: dict[str, Call] = {
    "delete user": lambda client: client.delete_user("7"),
    "expire join key": lambda client: client.expire_join_key("7"),
    "expire node": lambda client: client.expire_node("7"),
    "delete node": lambda client: client.delete_node("7"),
    "tag node": lambda client: client.tag_node("7", ["tag:x"]),
    "set policy": lambda client: client.set_policy("{}"),
    "check policy": lambda client: client.check_policy("{}"),
    "expire API key": lambda client: client.expire_api_key("k" * 12),
}
CREATES: dict[str, Call] = {
    "create user": lambda client: client.create_user("hana"),
    "create join key": lambda client: client.create_join_key(600, tags=["tag:x"]),
    "create API key": lambda client: client.create_api_key(600),
}
ALL = READS | CHANGES | CREATES


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving(Stub()) as made:
        yield made


def client_of(stub: Stub, patience: float = 0.0) -> HeadscaleClient:
    return HeadscaleClient(stub.url, key=KEY, clock=ManualClock(), patience=patience)


def error_of(stub: Stub, call: Call, *replies: Reply, patience: float = 0.0) -> SupportTunnelError:
    stub.replies[:] = replies
    with client_of(stub, patience) as client, pytest.raises(SupportTunnelError) as caught:
        call(client)
    return caught.value


def codes_of(stub: Stub, calls: dict[str, Call], reply: Reply, patience: float = 0.0) -> dict[str, str]:
    """What each call says of this answer. One client for all: they have to agree."""
    stub.replies[:] = [reply]
    told = {}
    with client_of(stub, patience) as client:
        for name, call in calls.items():
            with pytest.raises(CoordinatorError) as caught:
                call(client)
            assert "<" not in caught.value.message
            told[name] = caught.value.code
    return told


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ((401, "text/plain", "Unauthorized"), "headscale.auth"),
        ((401, "application/problem+json", '{"status":401,"title":"Unauthorized"}'), "headscale.auth"),
        ((403, "text/html", HTML), "headscale.auth"),
        ((500, JSON, '{"code":2,"message":"database is locked","details":[]}'), "headscale.unavailable"),
        ((500, JSON, '{"code":13,"message":"loading users: disk I/O error","details":[]}'), "headscale.unavailable"),
        (
            (500, JSON, '{"code":13,"message":"creating user: creating user: database is locked (5)","details":[]}'),
            "headscale.unavailable",
        ),
        ((200, "text/html", HTML), "headscale.answer"),
        ((200, JSON, "[]"), "headscale.answer"),
        ((200, JSON, "{"), "headscale.answer"),
        ((404, "text/html", HTML), "headscale.answer"),
        ((404, "text/plain", "404 page not found"), "headscale.answer"),
        ((404, JSON, '{"code":5,"message":"Not Found","details":[]}'), "headscale.answer"),
        ((404, JSON, '{"error":"node not found"}'), "headscale.answer"),
        ((302, "text/html", HTML), "headscale.answer"),
        ((418, JSON, '{"code":2,"message":"teapot"}'), "headscale.answer"),
    ],
    ids=lambda value: f"{value[0]} {value[2][:24]}" if isinstance(value, tuple) else "",
)
def test_an_answer_that_is_no_success_is_told_apart(stub: Stub, reply: Reply, code: str) -> None:
    assert codes_of(stub, ALL, reply) == dict.fromkeys(ALL, code)


@pytest.mark.parametrize(
    "reply",
    [None, (500, "text/html", HTML), (502, "text/html", HTML), (503, JSON, '{"code":14,"message":"starting"}')],
    ids=["cut", "500", "502", "503"],
)
def test_a_server_that_cannot_is_unavailable_and_what_it_may_have_made_is_not_made_twice(
    stub: Stub, reply: Reply
) -> None:
    asked = READS | CHANGES
    assert codes_of(stub, asked, reply) == dict.fromkeys(asked, "headscale.unavailable")
    stub.asked.clear()
    assert codes_of(stub, CREATES, reply, patience=30) == dict.fromkeys(CREATES, "headscale.unsure")
    assert len(stub.calls()) == len(CREATES)


def test_what_can_be_asked_twice_is(stub: Stub) -> None:
    stub.replies[:] = [None, (503, "text/html", HTML), (200, JSON, '{"nodes":[]}')]
    with client_of(stub, patience=30) as client:
        assert client.nodes() == []
    assert stub.calls() == ["GET /api/v1/node"] * 3


def test_a_delete_whose_answer_was_lost_is_done_when_the_node_is_gone(stub: Stub) -> None:
    gone: Reply = (404, JSON, '{"code":5,"message":"node not found","details":[]}')
    stub.replies[:] = [None, gone]
    with client_of(stub, patience=30) as client:
        client.delete_node("7")
        assert stub.calls() == ["DELETE /api/v1/node/7"] * 2
        with pytest.raises(CoordinatorError) as caught:
            client.delete_node("7")  # nothing was lost this time: it was never there
    assert caught.value.code == "headscale.absent"


def test_a_broken_database_that_shuts_everybody_out_is_told_by_the_health_page(stub: Stub) -> None:
    stub.health = (500, "application/health+json", '{"status":"fail"}')
    error = error_of(stub, READS["nodes"], (401, "text/plain", "Unauthorized"))
    assert (error.code, "database" in error.message) == ("headscale.unavailable", True)


@pytest.mark.parametrize(
    ("version", "code", "words"),
    [
        ((200, JSON, '{"version":"v0.28.0"}'), "headscale.version", "0.28.0"),
        ((200, JSON, '{"version":"0.23.0-beta1"}'), "headscale.version", "0.23.0-beta1"),
        ((200, JSON, '{"version":"v0.30.0"}'), "headscale.version", "0.30.0"),
        ((200, JSON, '{"version":"v1.2.3\\u001b[2J"}'), "headscale.answer", ""),
        ((200, JSON, '{"version":29}'), "headscale.answer", ""),
        ((200, "text/html", HTML), "headscale.answer", ""),
        ((404, "text/plain", "404 page not found"), "headscale.version", "too old"),
        ((500, "text/html", HTML), "headscale.unavailable", ""),
    ],
)
@pytest.mark.parametrize("name", ["nodes", "create join key"])
def test_another_version_is_named_before_anything_is_asked_of_it(
    stub: Stub, name: str, version: Reply, code: str, words: str
) -> None:
    stub.version = version
    error = error_of(stub, ALL[name], (200, JSON, "{}"))
    assert (error.code, words in error.message) == (code, True), error.message
    assert stub.calls() == []
    assert set(stub.keys) == {""}, "a server that is not ours gets no key"


@pytest.mark.parametrize("release", ["v0.29.0", "0.29.2", "0.29.11", "0.29.3-rc.1", "v0.29.2+dirty"])
def test_each_release_of_ours_is_taken(stub: Stub, release: str) -> None:
    stub.version = (200, JSON, json.dumps({"version": release}))
    with client_of(stub) as client:
        assert client.version() == release.lstrip("v").partition("-")[0].partition("+")[0]


@pytest.mark.parametrize(
    ("checked", "code"),
    [
        ((200, JSON, "{}"), ""),
        ((404, JSON, '{"code":5,"message":"Not Found","details":[]}'), "headscale.version"),
        ((501, JSON, '{"code":12,"message":"Method Not Allowed","details":[]}'), "headscale.version"),
        ((401, "text/plain", "Unauthorized"), "headscale.auth"),
        ((200, "text/html", HTML), "headscale.answer"),
    ],
)
def test_a_build_without_a_number_is_known_by_what_it_can_do(stub: Stub, checked: Reply, code: str) -> None:
    stub.version, stub.replies[:] = (200, JSON, '{"version":"dev"}'), [checked]
    with client_of(stub) as client:
        if not code:
            assert client.version() == "dev"
            return
        with pytest.raises(CoordinatorError) as caught:
            client.version()
    assert caught.value.code == code


NODE = {
    "id": "7", "givenName": "device", "ipAddresses": ["100.64.0.7"], "tags": ["tag:x"], "online": True, "createdAt": NOW,
    "user": {"id": "2147455555", "name": "tagged-devices", "createdAt": NOW}, "expiry": None, "preAuthKey": {"id": "3"},
}  # fmt: skip
JOIN_KEY = {
    "id": "3", "key": "hskey-auth-" + "k" * 76, "user": None, "aclTags": ["tag:x"], "reusable": False, "ephemeral": True,
    "used": False, "expiration": NOW,
}  # fmt: skip


def test_a_node_is_read_whole(stub: Stub) -> None:
    stub.replies[:] = [(200, JSON, json.dumps({"nodes": [NODE]}))]
    with client_of(stub) as client:
        (node,) = client.nodes()
    assert (node.id, node.name, node.addresses, node.user) == ("7", "device", ("100.64.0.7",), None)
    assert (node.tags, node.online, node.expires, node.key) == (("tag:x",), True, None, "3")


def test_the_year_1_is_no_end_of_a_node(stub: Stub) -> None:
    stub.replies[:] = [(200, JSON, json.dumps({"node": NODE | {"expiry": "0001-01-01T00:00:00Z"}}))]
    with client_of(stub) as client:
        assert client.node("7").expires is None


def test_a_policy_is_checked_before_it_is_set(stub: Stub) -> None:
    stub.replies[:] = [(200, JSON, "{}"), (200, JSON, '{"policy":"{}","updatedAt":null}')]
    with client_of(stub) as client:
        assert client.set_policy("{}").text == "{}"
    assert stub.calls() == ["POST /api/v1/policy/check", "PUT /api/v1/policy"]
    stub.asked.clear()
    failed: Reply = (400, JSON, '{"code":3,"message":"test(s) failed:\\na -> b:22: expected DENIED, got ALLOWED"}')
    error = error_of(stub, CHANGES["set policy"], failed)
    assert (error.code, "expected DENIED" in error.message) == ("headscale.refused", True)
    assert stub.calls() == ["POST /api/v1/policy/check"]


@pytest.mark.parametrize(
    "change",
    [
        {"id": 7}, {"id": "x"}, {"id": None}, {"tags": "tag:x"}, {"tags": ["x"]}, {"tags": ["tag:\n"]}, {"tags": [1]},
        {"online": "yes"}, {"ipAddresses": None}, {"ipAddresses": ["a; rm -rf /"]}, {"createdAt": "yesterday"},
        {"createdAt": "2030-01-01T00:00:00"}, {"expiry": 5}, {"preAuthKey": "3"}, {"givenName": None},
        {"tags": [], "user": "hana"},
    ],
    ids=str,
)  # fmt: skip
def test_half_a_list_of_nodes_is_no_list(stub: Stub, change: dict[str, object]) -> None:
    rows = json.dumps({"nodes": [NODE, NODE | change]})
    assert error_of(stub, READS["nodes"], (200, JSON, rows)).code == "headscale.answer"


def test_an_answer_has_an_end(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "MAX_ANSWER", 10_000)
    rows = json.dumps({"nodes": [NODE] * 50})
    assert len(rows) > 10_000
    assert error_of(stub, READS["nodes"], (200, JSON, rows)).code == "headscale.answer"


def test_names_from_there_cannot_move_the_cursor_here(stub: Stub) -> None:
    stub.replies[:] = [(200, JSON, json.dumps({"nodes": [NODE | {"givenName": "a\x1b[2Jb"}]}))]
    with client_of(stub) as client:
        assert client.nodes()[0].name == "a?[2Jb"
    told = json.dumps({"code": 3, "message": "no \x1b]0;x\x07 " + KEY.reveal() + "!" * 1000})
    error = error_of(stub, CHANGES["check policy"], (400, JSON, told))
    assert error.code == "headscale.refused"
    assert "\x1b" not in error.message
    assert KEY.reveal() not in error.message
    assert len(error.message) < 400


@pytest.mark.parametrize(
    "change",
    [
        {"aclTags": []}, {"aclTags": ["tag:x", "tag:y"]}, {"reusable": True}, {"ephemeral": False}, {"used": True},
        {"expiration": "0001-01-01T00:00:00Z"}, {"expiration": None}, {"expiration": "2031-01-01T00:00:00Z"},
    ],
    ids=str,
)  # fmt: skip
def test_a_key_that_is_not_what_was_asked_for_is_ended_and_not_given_out(stub: Stub, change: dict[str, object]) -> None:
    made = json.dumps({"preAuthKey": JOIN_KEY | change})
    error = error_of(stub, CREATES["create join key"], (200, JSON, made), (200, JSON, "{}"))
    assert error.code == "headscale.answer"
    assert stub.calls() == ["POST /api/v1/preauthkey", "POST /api/v1/preauthkey/expire"]


def test_the_key_goes_to_the_api_alone_and_shows_nowhere(stub: Stub) -> None:
    stub.replies[:] = [(200, JSON, '{"nodes":[]}')]
    with client_of(stub) as client:
        client.nodes()
        client.now()
        assert KEY.reveal() not in repr(client) + repr(vars(client)) + repr(client.__dict__)
    sent = dict(zip(stub.asked, stub.keys, strict=True))
    assert sent == {"GET /version": "", "GET /api/v1/node": f"Bearer {KEY.reveal()}", "GET /health": ""}


def test_nobody_there_is_unavailable_and_nothing_was_done() -> None:
    with serving(Stub()) as stub:
        pass
    for name, call in ALL.items():
        error = error_of(stub, call, None)
        assert error.code == "headscale.unavailable", name
