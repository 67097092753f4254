"""Credentials that run out while a session lasts: read again from where they are, once for all threads, and nothing is made twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier

import pytest

from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.core.errors import CloudError, UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock
from tests.clouds.gate import Answer, Fault, Gate, Request, gate
from tests.clouds.played import PLAYED
from tests.clouds.test_every_cloud import spec


@dataclass
class Account:
    """What the file or program says, and how often it was asked; whoever comes with an older word is refused."""

    gate: Gate
    word: str = "word-1"
    kind: str = "cmd"
    over: set[str] = field(default_factory=set)
    """Words that are valid no more."""
    asked: list[str] = field(default_factory=list)

    def read(self, source: str, _: str) -> Secret[str]:
        self.asked.append(source)
        if self.gate.provider.name == "ec2":
            return Secret(json.dumps({"AccessKeyId": self.word, "SecretAccessKey": "x", "SessionToken": self.word}))
        return Secret(self.word)

    def settings(self) -> Mapping[str, str]:
        name, given = self.gate.provider.name, self.gate.provider.settings(self.gate.url)
        if name == "ec2":
            given = {"region": given["region"], "endpoint": given["endpoint"], "credentials": "x"}
        secret = {setting.name for setting in CLOUDS[name].settings if setting.secret}
        return {key: f"{self.kind}:{value}" if key in secret else value for key, value in given.items()}

    def cloud(self) -> LibcloudCloud:
        return LibcloudCloud(self.gate.provider.name, self.settings(), ManualClock(), secret=self.read)

    def runs_out(self, following: str) -> None:
        self.over.add(self.word)
        self.word = following

    def refused(self, request: Request) -> bool:
        sent = " ".join([request.target, *request.headers.values(), request.body.decode(errors="replace")])
        return any(word in sent for word in self.over)


@pytest.fixture(
    params=[cloud for name, cloud in PLAYED.items() if name != "nova"], ids=[n for n in PLAYED if n != "nova"]
)
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    with gate(request.param()) as made:
        account = Account(made)
        made.faults = [Fault(account.refused, made.provider.refusal("auth"), times=10_000)]
        yield account


def test_new_ones_are_read_and_the_session_goes_on(account: Account) -> None:
    cloud = account.cloud()
    first = cloud.create(spec())
    account.runs_out("word-2")
    assert [server.id for server in cloud.servers()] == [first.id]
    account.runs_out("word-3")
    second = cloud.create(spec("st-6b6b6b6b", "6b" * 16))
    account.runs_out("word-4")
    for server in (first, second):
        cloud.destroy(server.id)
    assert account.gate.provider.everything() == account.gate.provider.walls() == []
    assert len(account.asked) == 4


def test_all_threads_go_on_with_them_and_one_of_them_reads(account: Account) -> None:
    cloud = account.cloud()
    cloud.create(spec())
    ready = Barrier(4, action=lambda: account.runs_out("word-2"))

    def twice(_: int) -> int:
        before = len(cloud.servers())
        ready.wait(60)
        return before + len(cloud.servers())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(twice, range(4))) == [2] * 4
    assert len(account.asked) == 2


def test_a_variable_is_gone_when_it_was_read_so_it_is_not_read_again(account: Account) -> None:
    account.kind = "env"
    cloud = account.cloud()
    cloud.servers()
    account.runs_out("word-2")
    with pytest.raises(CloudError) as refused:
        cloud.servers()
    assert refused.value.code == "cloud.auth"
    assert len(account.asked) == 1


def test_the_same_ones_are_not_tried_again(account: Account) -> None:
    """A refusal that is one (a right that is missing, say) is told after one request of each kind, not two."""
    cloud = account.cloud()
    cloud.create(spec())
    account.over.add(account.word)
    sent = account.gate.sent(account.refused)
    with pytest.raises(CloudError) as refused:
        cloud.servers()
    assert refused.value.code == "cloud.auth"
    assert account.gate.sent(account.refused) == sent + 1


def test_one_that_cannot_be_read_again_says_why(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = account.cloud()
    cloud.servers()
    account.runs_out("word-2")

    def missing(*_: str) -> Secret[str]:
        raise UsageError("secret.source", "the token: /nowhere: no such file")

    monkeypatch.setattr(cloud._line, "_secret", missing)
    with pytest.raises(UsageError, match="no such file"):
        cloud.servers()


def test_a_server_whose_maker_lost_its_rights_half_way_is_found_again(account: Account) -> None:
    """Some answer a create and refuse what the driver asks right after it: the server is there, and no second is made."""
    provider = account.gate.provider
    cloud = account.cloud()
    cloud.servers()
    account.gate.faults[:0] = [Fault(provider.creates, provider.refusal("auth"), effect=True)]
    account.word = "word-2"
    made = cloud.create(spec())
    assert provider.everything() == [made.id]
    assert account.gate.sent(provider.creates) == 1


def test_a_cloud_that_repeats_a_secret_in_its_refusal_is_not_repeated() -> None:
    with gate(PLAYED["hetzner"]()) as made:
        told = {"error": {"code": "invalid_input", "message": "the token word-1 may not do that"}}
        made.faults = [Fault(made.provider.creates, Answer(422, json.dumps(told).encode()))]
        with pytest.raises(CloudError) as refused:
            Account(made).cloud().create(spec())
    assert refused.value.code == "cloud.bad-request"
    assert "word-1" not in str(refused.value)
