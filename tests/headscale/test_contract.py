"""The same cases over the fake and over a real Headscale 0.29.2 with real Tailscale clients: what passes here may be believed of both.

Over 300 lines: one suite in one place, so that no case can run over one of the two only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial

import pytest

from support_tunnel.core.errors import CoordinatorError, SupportTunnelError, UsageError
from support_tunnel.core.ports import Coordinator, Node
from support_tunnel.core.secret import Secret
from tests.headscale.places import YEAR_1, FakePlace, Place, RealPlace

DENY_ALL: dict[str, object] = {"grants": []}


@pytest.fixture(scope="module", params=["fake", pytest.param("real", marks=pytest.mark.onebox)])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One server for all cases: each uses names of its own, as tunnels on a standing server do."""
    with ExitStack() as ends:
        if request.param == "fake":
            yield FakePlace()
        else:
            server, members = request.getfixturevalue("network")
            yield RealPlace(server, members, tmp_path_factory.mktemp("foreign"), ends)


@pytest.fixture(scope="module")
def client(place: Place) -> Coordinator:
    return place.face()


@pytest.fixture(scope="module")
def member(place: Place, client: Coordinator) -> Node:
    """A node that joined with a key of ours."""
    minted = client.create_join_key(600, tags=["tag:member"])
    place.join(minted.text, "member")
    return only(client, "tag:member")


def code_of(call: Callable[[], object], family: type[SupportTunnelError] = CoordinatorError) -> str:
    with pytest.raises(family) as caught:
        call()
    return caught.value.code


def words_of(call: Callable[[], object]) -> str:
    with pytest.raises(CoordinatorError) as caught:
        call()
    assert caught.value.code == "headscale.refused"
    return str(caught.value)


def only(client: Coordinator, tag: str) -> Node:
    (found,) = [node for node in client.nodes() if tag in node.tags]
    return found


# --- the server itself ----------------------------------------------------------------------------------------------


def test_the_server_is_well_and_says_which_it_is(client: Coordinator) -> None:
    client.health()
    assert client.version() == "0.29.2"


def test_the_servers_clock_is_told_to_the_second(client: Coordinator) -> None:
    first = client.now()
    assert (first.utcoffset(), first.microsecond) == (timedelta(0), 0)
    assert timedelta(0) <= client.now() - first < timedelta(seconds=60)


# --- API keys -------------------------------------------------------------------------------------------------------


def test_a_key_that_is_not_of_this_server_opens_nothing(place: Place, client: Coordinator) -> None:
    minted = client.create_api_key(600)
    text = minted.text.reveal()
    wrong = Secret(text[:-1] + ("A" if text[-1] != "A" else "B"))
    for key in (wrong, Secret("hskey-api-" + "A" * 12 + "-" + "b" * 64), place.foreign_api_key()):
        face = place.face(key)
        for call in (face.health, face.nodes, face.policy, partial(face.delete_node, "1")):
            assert code_of(call) == "headscale.auth"


def test_an_api_key_can_make_another_and_end_it(place: Place, client: Coordinator) -> None:
    minted = client.create_api_key(600)
    (row,) = [known for known in client.api_keys() if known.prefix == minted.prefix]
    assert row.expires is not None
    assert abs(row.expires - client.now() - timedelta(seconds=600)) < timedelta(seconds=30)
    other = place.face(minted.text)
    other.health()
    other.expire_api_key(minted.prefix)  # its own
    assert code_of(other.nodes) == "headscale.auth"
    client.health()
    assert code_of(lambda: client.expire_api_key("0" * 12)) == "headscale.absent"


def test_an_api_key_ends_by_itself(place: Place, client: Coordinator) -> None:
    other = place.face(client.create_api_key(2).text)
    other.health()
    place.let_pass(3)
    assert code_of(other.health) == "headscale.auth"


# --- users ----------------------------------------------------------------------------------------------------------


def test_users_come_and_go(client: Coordinator) -> None:
    made = client.create_user("hana")
    assert made in client.users()
    assert "creating user" in words_of(lambda: client.create_user("hana"))
    assert [user.name for user in client.users()].count("hana") == 1
    client.delete_user(made.id)
    assert made.id not in {user.id for user in client.users()}
    assert code_of(lambda: client.delete_user(made.id)) == "headscale.absent"


@pytest.mark.parametrize("name", ["", "a", "1st", "a b", "a/b", "a@b", "x" * 64, "ha\nna", "ümit"])
def test_a_user_has_a_name_that_a_policy_can_name(client: Coordinator, name: str) -> None:
    before = client.users()
    assert code_of(lambda: client.create_user(name), UsageError) == "headscale.name"
    assert client.users() == before


# --- keys to join ---------------------------------------------------------------------------------------------------


def test_a_key_is_what_was_asked_for_and_its_text_is_told_once(client: Coordinator) -> None:
    owner = client.create_user("keyholder")
    tagged = client.create_join_key(600, tags=["tag:a", "tag:b"])
    owned = client.create_join_key(60, user=owner.id, ephemeral=False, reusable=True)
    for minted, lifetime in ((tagged, 600), (owned, 60)):
        known = minted.known
        assert minted.text.reveal().startswith("hskey-auth-")
        assert known in client.join_keys()
        assert known.expires is not None
        assert abs(known.expires - client.now() - timedelta(seconds=lifetime)) < timedelta(seconds=30)
        assert not known.used
    assert (tagged.known.user, set(tagged.known.tags)) == (None, {"tag:a", "tag:b"})
    assert (tagged.known.ephemeral, tagged.known.reusable) == (True, False)
    assert (owned.known.user, owned.known.tags) == (owner.id, ())
    assert (owned.known.ephemeral, owned.known.reusable) == (False, True)
    client.delete_user(owner.id)
    assert owned.known.id not in {known.id for known in client.join_keys()}, "a user's keys go with them"


def test_an_expired_key_stays_in_the_list_and_unknown_ids_are_no_error(client: Coordinator) -> None:
    minted = client.create_join_key(600, tags=["tag:x"])
    client.expire_join_key(minted.known.id)
    client.expire_join_key(minted.known.id)
    client.expire_join_key("987654")
    (row,) = [known for known in client.join_keys() if known.id == minted.known.id]
    assert row.expires is not None
    assert row.expires <= client.now() + timedelta(seconds=1)


def test_a_key_for_nobody_is_not_made(client: Coordinator) -> None:
    before = client.join_keys()
    assert "user not found" in words_of(lambda: client.create_join_key(600, user="987654"))
    for call, code in (
        (lambda: client.create_join_key(600), "headscale.owner"),
        (lambda: client.create_join_key(600, user="1", tags=["tag:x"]), "headscale.owner"),
        (lambda: client.create_join_key(600, tags=["x"]), "headscale.tag"),
        (lambda: client.create_join_key(600, tags=["tag:X"]), "headscale.tag"),
        (lambda: client.create_join_key(0, tags=["tag:x"]), "headscale.lifetime"),
        (lambda: client.create_join_key(-60, tags=["tag:x"]), "headscale.lifetime"),
        (lambda: client.create_join_key(10**9, tags=["tag:x"]), "headscale.lifetime"),
        (lambda: client.create_join_key(600, user="../node/1"), "headscale.id"),
        (lambda: client.create_api_key(0), "headscale.lifetime"),
    ):
        assert code_of(call, UsageError) == code
    assert client.join_keys() == before


# --- joining --------------------------------------------------------------------------------------------------------


def test_who_has_a_key_joins_as_what_the_key_says(member: Node, client: Coordinator) -> None:
    assert (member.name, member.user, member.tags, member.expires) == ("member", None, ("tag:member",), None)
    assert any(address.startswith("100.64.") for address in member.addresses)
    (key,) = [known for known in client.join_keys() if "tag:member" in known.tags]
    assert (key.used, key.id) == (True, member.key)
    assert client.node(member.id).addresses == member.addresses


def test_a_used_key_lets_nobody_else_in(place: Place, client: Coordinator) -> None:
    minted = client.create_join_key(600, tags=["tag:used"])
    place.join(minted.text, "first")
    before = {node.id for node in client.nodes()}
    assert "already used" in words_of(lambda: place.join(minted.text, "stranger"))
    assert {node.id for node in client.nodes()} == before
    client.delete_node(only(client, "tag:used").id)
    assert "already used" in words_of(lambda: place.join(minted.text, "stranger-after"))


def test_keys_that_let_nobody_in(place: Place, client: Coordinator) -> None:
    ended = client.create_join_key(600, tags=["tag:no"])
    client.expire_join_key(ended.known.id)
    short = client.create_join_key(1, tags=["tag:no"])
    born = place.born_expired(["tag:no"])
    (known,) = [known for known in client.join_keys() if known.expires == YEAR_1 and known.tags == ("tag:no",)]
    assert not known.used
    foreign = place.foreign(["tag:no"])
    wrong = Secret(short.text.reveal()[:-1] + ("A" if short.text.reveal()[-1] != "A" else "B"))
    place.let_pass(2)
    for name, key, words in (
        ("ended", ended.text, "expired"),
        ("short", short.text, "expired"),
        ("born", born, "expired"),
        ("foreign", foreign, "invalid"),
        ("wrong", wrong, "invalid"),
    ):
        told = words_of(partial(place.join, key, name))
        assert words in told, (name, told)
    assert [node for node in client.nodes() if "tag:no" in node.tags] == []


# --- nodes ----------------------------------------------------------------------------------------------------------


def test_a_node_that_is_expired_stays_and_one_that_is_deleted_is_gone(place: Place, client: Coordinator) -> None:
    owner = client.create_user("owner")
    place.join(client.create_join_key(600, user=owner.id).text, "owned")
    (node,) = [node for node in client.nodes() if node.user == owner.id]
    assert node.tags == ()
    assert "user not empty" in words_of(lambda: client.delete_user(owner.id))

    expired = client.expire_node(node.id)
    assert expired.id == node.id
    assert expired.expires is not None
    assert expired.expires <= client.now() + timedelta(seconds=1)
    assert node.id in {known.id for known in client.nodes()}

    client.delete_node(node.id)
    assert node.id not in {known.id for known in client.nodes()}
    for gone in (client.node, client.delete_node, client.expire_node):
        assert code_of(partial(gone, node.id)) == "headscale.absent"
    assert code_of(lambda: client.tag_node(node.id, ["tag:x"])) == "headscale.absent"
    client.delete_user(owner.id)


@pytest.mark.parametrize("number", ["", "0", "-1", "one", "1/expire", "1?x=1", "../user/1"])
def test_an_id_is_a_number_and_nothing_else(client: Coordinator, number: str) -> None:
    for call in (client.node, client.delete_node, client.expire_node, client.expire_join_key, client.delete_user):
        assert code_of(partial(call, number), UsageError) == "headscale.id"


def test_tags_are_replaced_by_those_the_policy_knows(client: Coordinator, member: Node) -> None:
    client.set_policy(json.dumps({"tagOwners": {"tag:member": [], "tag:more": []}, **DENY_ALL}))
    assert set(client.tag_node(member.id, ["tag:member", "tag:more"]).tags) == {"tag:member", "tag:more"}
    words_of(lambda: client.tag_node(member.id, ["tag:unowned"]))
    assert client.tag_node(member.id, ["tag:member"]).tags == ("tag:member",)
    assert code_of(lambda: client.tag_node(member.id, []), UsageError) == "headscale.tag"


# --- policy ---------------------------------------------------------------------------------------------------------


def policy(tests: list[dict[str, object]], **more: object) -> str:
    """Port 22 of b from a; c has nothing."""
    return json.dumps(
        {
            "hosts": {"a": "100.64.7.1/32", "b": "100.64.7.2/32", "c": "100.64.7.3/32"},
            "grants": [{"src": ["a"], "dst": ["b"], "ip": ["tcp:22"]}],
            "tests": tests,
            **more,
        }
    )


GOOD = policy([{"src": "a", "accept": ["b:22"], "deny": ["b:23", "c:22"]}, {"src": "b", "deny": ["a:22"]}])


def test_a_policy_whose_tests_pass_is_kept_to_the_letter(client: Coordinator) -> None:
    client.check_policy(GOOD)
    stored = client.set_policy(GOOD)
    assert stored.text == GOOD
    read = client.policy()
    assert read is not None
    assert read.text == GOOD
    assert read.changed is not None


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (policy([{"src": "a", "deny": ["b:22"]}]), "expected DENIED, got ALLOWED"),
        (policy([{"src": "a", "accept": ["c:22"]}]), "expected ALLOWED, got DENIED"),
        (policy([{"src": "b", "accept": ["a:22"]}]), "expected ALLOWED, got DENIED"),
        (policy([], comment="of an older version"), "unknown field"),
        (policy([], grants=[{"src": ["tag:nobodys"], "dst": ["b"], "ip": ["*"]}]), "tag"),
        (
            policy([{"src": "tag:later", "accept": ["b:22"]}], tagOwners={"tag:later": []}),
            "resolved to no IP addresses",
        ),
        ("{", "parsing policy"),
    ],
    ids=["too much", "too little", "wrong way", "unknown field", "unknown tag", "nobody has the tag", "half"],
)
def test_a_policy_that_fails_is_refused_and_the_old_one_stays(client: Coordinator, bad: str, words: str) -> None:
    client.set_policy(GOOD)
    assert words in words_of(lambda: client.check_policy(bad))
    assert words in words_of(lambda: client.set_policy(bad))
    kept = client.policy()
    assert kept is not None
    assert kept.text == GOOD


def test_a_check_changes_nothing(client: Coordinator) -> None:
    before = client.set_policy(GOOD)
    client.check_policy(json.dumps(DENY_ALL))
    after = client.policy()
    assert after is not None
    assert after.text == before.text


def test_tests_may_name_a_tag_once_a_node_has_it(client: Coordinator, member: Node) -> None:
    tagged = json.dumps(
        {
            "tagOwners": {"tag:member": []},
            "hosts": {"a": "100.64.7.1/32"},
            "grants": [{"src": ["a"], "dst": ["tag:member"], "ip": ["tcp:22"]}],
            "tests": [{"src": "a", "accept": ["tag:member:22"], "deny": ["tag:member:80"]}],
        }
    )
    client.check_policy(tagged)
