"""The shipped fakes have the shape of their ports (mypy reads this file) and do what their first lines promise."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import ConsentRefused, CoordinatorError, HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.own_certificates import session_certificate
from support_tunnel.core.ports import (
    Acquaintances,
    Certifier,
    Clock,
    Completed,
    Connector,
    Coordinator,
    Door,
    Hops,
    Joining,
    Journal,
    Met,
    OwnNode,
    Progress,
    Prompt,
    SecretPrompt,
    Shell,
    ThroughServer,
)
from support_tunnel.core.secret import Secret
from support_tunnel.core.session_wish import EARLIER, SessionWish
from support_tunnel.testing.certifying import FakeCertifier
from support_tunnel.testing.clock import ManualClock
from support_tunnel.testing.fake_headscale import FakeHeadscale
from support_tunnel.testing.hosts import FakeConnector, FakeDoor
from support_tunnel.testing.own_node import FakeOwnNode
from support_tunnel.testing.people import RecordedProgress, ScriptedPrompt
from support_tunnel.testing.records import MemoryAcquaintances, MemoryJournal
from support_tunnel.testing.shells import Answer, ScratchShell, ScriptedShell

TUNNEL = TunnelId("ab" * 16)


def test_a_manual_clock_moves_only_when_it_is_moved() -> None:
    clock = ManualClock()
    as_port: Clock = clock
    before = as_port.now()
    as_port.pause(60)
    clock.suspend(3600)
    assert (as_port.monotonic(), as_port.boottime()) == (60, 3660)
    assert (as_port.now() - before).total_seconds() == 3660
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_a_certifier_gives_what_it_is_asked_for_and_keeps_the_question() -> None:
    now = ManualClock().now()
    wish = SessionWish(
        ssh_key.new_keypair()[1],
        "st-abababab",
        "st:abababab:ann:-",
        now - EARLIER,
        now + EARLIER,
        "fd00::1",
        forwards=True,
    )
    fake = FakeCertifier(Ed25519PrivateKey.generate())
    as_port: Certifier = fake
    assert session_certificate(as_port.certify(TUNNEL, wish), wish)
    assert fake.wishes == [wish]
    with pytest.raises(HostError):
        FakeCertifier(Ed25519PrivateKey.generate(), refuses=HostError("certificate.refused", "no")).certify(
            TUNNEL, wish
        )


def test_a_fake_headscale_can_be_another_version_and_can_be_away() -> None:
    server = FakeHeadscale(ManualClock())
    as_port: Coordinator = server.face()
    as_port.health()
    server.trouble = CoordinatorError("headscale.unavailable", "killed")
    with pytest.raises(CoordinatorError) as caught:
        as_port.nodes()
    assert caught.value is server.trouble
    server.trouble, server.release = None, "0.23.0"
    with pytest.raises(CoordinatorError) as caught:
        as_port.nodes()
    assert caught.value.code == "headscale.version"


def test_a_clock_lets_the_other_side_act_at_each_pause() -> None:
    seen: list[float] = []
    clock = ManualClock()
    clock.on_pause = lambda: seen.append(clock.monotonic())
    clock.pause(1)
    clock.pause(2)
    assert seen == [0, 1]


def test_a_scripted_shell_gives_the_first_answer_that_fits() -> None:
    lost = HostError("host.lost", "cut")
    shell: Shell = ScriptedShell([Answer("wg show", Completed(0, "yes", "")), Answer("cut", lost)])
    assert shell.run_script(Secret("wg show"), timeout=1).stdout == "yes"
    with pytest.raises(HostError) as caught:
        shell.run_script(Secret("cut"), timeout=1)
    assert caught.value is lost
    with pytest.raises(AssertionError):
        shell.run_script(Secret("something else"), timeout=1)


def test_a_scratch_shell_is_a_real_one_in_its_folder(tmp_path: Path) -> None:
    shell: Shell = ScratchShell(tmp_path)
    assert shell.run_script(Secret("echo x > here; exit 3"), timeout=10).status == 3
    assert (tmp_path / "here").read_text() == "x\n"


def test_a_scripted_person_answers_in_order_and_then_is_gone() -> None:
    scripted = ScriptedPrompt(["first", lambda question: question.upper()])
    prompt: Prompt = scripted
    secret: SecretPrompt = scripted
    assert prompt.ask("a?", about="decision", timeout=1, stopped=lambda: False) == "first"
    assert secret.ask_secret("b?") == Secret("B?")
    with pytest.raises(ConsentRefused) as caught:
        prompt.ask("c?", about="decision", timeout=1, stopped=lambda: False)
    assert caught.value.code == "consent.timeout"


def test_recorded_progress_knows_whether_a_step_is_left_open() -> None:
    recorded = RecordedProgress()
    as_port: Progress = recorded
    as_port.step("a")
    assert recorded.running
    as_port.end()
    assert not recorded.running


def test_the_way_to_a_server_and_to_a_device_is_remembered() -> None:
    connector, door = FakeConnector(), FakeDoor(Completed(4, "", ""))
    to_server: Connector = connector
    to_device: Door = door
    shell = to_server.connect("192.0.2.1", user="root", private_key=Secret("k"), host_key="h", timeout=1)
    shell.run_script(Secret("x"), timeout=1)
    shell.close()
    assert connector.shell.closed
    assert connector.logins[0].host_key == "h"
    hops = Hops(ThroughServer("192.0.2.1", "root", "h"), "fd00::2", 22, "st", "h2")
    to_device.prepare(TUNNEL, hops)
    assert to_device.command(TUNNEL, "ls", timeout=None).status == to_device.terminal(TUNNEL) == 4
    assert (door.hops, door.commands, door.terminals) == ({TUNNEL: hops}, ["ls"], 1)


def test_an_own_node_is_a_member_until_it_leaves() -> None:
    fake = FakeOwnNode(way="relay")
    node: OwnNode = fake
    assert node.address(TUNNEL) is None
    joining = Joining("https://192.0.2.1", "", Secret("key"), 60)
    address = node.join(TUNNEL, joining)
    assert node.join(TUNNEL, Joining("https://192.0.2.1", "", Secret("another"), 60)) == address == node.address(TUNNEL)
    assert (fake.nodes, node.tunnels()) == ({TUNNEL: joining}, [TUNNEL])
    assert node.way_to(TUNNEL, "fd7a:115c:a1e0::2") == "relay"
    node.leave(TUNNEL)
    assert node.tunnels() == []
    assert node.way_to(TUNNEL, "fd7a:115c:a1e0::2") == ""


def test_an_own_node_can_be_refused() -> None:
    fake = FakeOwnNode(refuses=HostError("node.join", "the key was used"))
    with pytest.raises(HostError):
        fake.join(TUNNEL, Joining("https://192.0.2.1", "", Secret("key"), 60))
    assert fake.tunnels() == []


def test_a_connector_can_refuse() -> None:
    refusing = FakeConnector(refuses=HostError("ssh.hostkey", "another key"))
    with pytest.raises(HostError):
        refusing.connect("192.0.2.1", user="root", private_key=Secret("k"), host_key="h", timeout=1)


def test_a_journal_is_a_chain() -> None:
    journal: Journal = MemoryJournal()
    empty = journal.head(TUNNEL)
    first = journal.append(TUNNEL, "start", {"n": 1})
    second = journal.append(TUNNEL, "start", {"n": 1})
    assert len({empty, first, second}) == 3
    assert journal.head(TUNNEL) == second


def test_acquaintances_are_counted() -> None:
    known: Acquaintances = MemoryAcquaintances()
    now = ManualClock().now()
    assert known.met("SHA256:x") == Met(0, None)
    known.remember("SHA256:x", "Ada", now)
    known.remember("SHA256:x", "Ada", now)
    assert known.met("SHA256:x") == Met(2, now)
