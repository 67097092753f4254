"""`fab list --watch`: a request that begins to wait is told once, also to the webhook, which can break nothing."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from typing import Any

import pytest

from support_tunnel.adapters.webhook_http import Webhook
from support_tunnel.cli.admin.watch import show_watch
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.flows.admin.listing import Listing, Row
from support_tunnel.flows.admin.watching import Look, watch
from support_tunnel.testing.clock import START
from tests.flows.conftest import make_world
from tests.flows.world import World

__all__ = ["make_world"]

ROW = Row(TunnelId("0badcafe" + "0" * 24), "waiting", False, START, START + timedelta(hours=1))
AWAY = HostError("api.unreachable", "the API is away")


@contextmanager
def receiver(status: int) -> Iterator[tuple[str, list[Any]]]:
    """An address on loopback and what was told there."""
    told: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Location", "/again")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{os.urandom(8).hex()}", told
        finally:
            server.shutdown()
            thread.join()


def test_a_request_is_new_once(make_world: Any) -> None:
    world: World = make_world()
    looks = watch(world.admin_ports())
    assert next(looks).new == []
    world.turns.start(world.request)
    world.turns.run(until=lambda: bool(world.office.boxes))
    assert [row.tunnel for row in next(looks).new] == [world.tunnel]
    assert next(looks).new == []
    box = world.office.boxes.pop(world.tunnel)
    assert next(looks).found.rows == []
    world.office.boxes[world.tunnel] = box
    assert next(looks).new == []


def test_what_waited_before_is_no_news_and_an_api_that_comes_back_brings_none(make_world: Any) -> None:
    world: World = make_world()
    world.turns.start(world.request)
    world.turns.run(until=lambda: bool(world.office.boxes))
    mailbox_for, away = world.admin_ports().mailbox_for, [True]

    def sometimes(claim: Any) -> Any:
        if away[0]:
            raise AWAY
        return mailbox_for(claim)

    looks = watch(world.admin_ports(mailbox_for=sometimes))
    assert [look.found.unseen for look in islice(looks, 2)] == [AWAY, AWAY]
    away[0] = False
    look = next(looks)
    assert (look.found.unseen, look.new, len(look.found.rows)) == (None, [], 1)


def test_a_wrong_setting_ends_the_watch(make_world: Any) -> None:
    def unset(claim: Any) -> Any:
        raise UsageError("config.api", "no API address is set")

    with pytest.raises(UsageError):
        next(watch(make_world().admin_ports(mailbox_for=unset)))


LOOKS = [Look(Listing([]), []), Look(Listing([ROW]), [ROW]), Look(Listing([], AWAY), []), Look(Listing([ROW]), [])]


@pytest.mark.parametrize("status", [200, 302, 500])
def test_the_webhook_is_told_once_and_nothing_secret(capsys: pytest.CaptureFixture[str], status: int) -> None:
    shown: list[Listing] = []
    with receiver(status) as (url, told):
        show_watch(LOOKS, Webhook(url), shown.append, as_json=True)
    said = capsys.readouterr()
    event = json.loads(said.out)
    assert told == [event]
    assert event == {
        "event": "waiting",
        "tunnel_id": ROW.tunnel,
        "state": "waiting",
        "created": START.isoformat(timespec="seconds"),
        "expires": ROW.expires.isoformat(timespec="seconds"),
    }
    assert ("webhook could not be told" in said.err) is (status != 200)
    assert url.rpartition("/")[2] not in said.err
    assert "the API is away; looking on" in said.err
    assert len(shown) == 1


def test_a_webhook_that_nobody_answers_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with receiver(200) as (url, _):
        pass
    show_watch(LOOKS, Webhook(url), lambda _: None, as_json=False)
    assert "waiting: 0badcafe" in capsys.readouterr().out


@pytest.mark.parametrize(
    "url", ["http://chat.example/x", "ftp://127.0.0.1/x", "https://", "chat", "http://127.0.0.1.example/"]
)
def test_what_is_told_does_not_cross_a_network_in_clear(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        Webhook(url)
    assert refused.value.code == "config.webhook"
