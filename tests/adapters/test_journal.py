"""The device's audit log on disk: it verifies, also after a tool was killed between the line and the chain's state."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support_tunnel.adapters.journal_disk import DiskJournal
from support_tunnel.core.audit import LogBroken, verify
from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock
from support_tunnel.testing.records import FolderVault

TUNNEL = TunnelId(secrets.token_hex(16))


@pytest.fixture
def vault(tmp_path: Path) -> FolderVault:
    return FolderVault(tmp_path / "vault")


@pytest.fixture
def journal(tmp_path: Path, vault: FolderVault) -> DiskJournal:
    return DiskJournal(tmp_path / "log", vault, ManualClock())


def written(tmp_path: Path) -> Path:
    return tmp_path / "log" / f"{TUNNEL[:8]}.jsonl"


def test_each_line_is_on_disk_when_append_returns(tmp_path: Path, journal: DiskJournal) -> None:
    for event in ("requested", "consented", "opened"):
        head = journal.append(TUNNEL, event, {"n": 1})
        assert verify(written(tmp_path).read_bytes(), TUNNEL).head == head == journal.head(TUNNEL)
    assert written(tmp_path).stat().st_mode & 0o777 == 0o600


def test_another_process_writes_on(tmp_path: Path, journal: DiskJournal, vault: FolderVault) -> None:
    journal.append(TUNNEL, "requested", {})
    DiskJournal(tmp_path / "log", vault, ManualClock()).append(TUNNEL, "ended", {"reason": "x"})
    assert verify(written(tmp_path).read_bytes(), TUNNEL).count == 2


def test_a_line_whose_state_was_never_saved_is_replaced(
    tmp_path: Path, journal: DiskJournal, vault: FolderVault
) -> None:
    journal.append(TUNNEL, "requested", {})
    saved = vault.get(TUNNEL, "audit")
    journal.append(TUNNEL, "consented", {})
    assert saved is not None
    vault.put(TUNNEL, "audit", saved)  # killed after the line, before the state
    journal.append(TUNNEL, "ended", {})
    log = written(tmp_path).read_bytes()
    assert verify(log, TUNNEL).count == 2
    assert b"consented" not in log


def test_a_half_written_line_is_replaced(tmp_path: Path, journal: DiskJournal) -> None:
    journal.append(TUNNEL, "requested", {})
    with written(tmp_path).open("ab") as file:
        file.write(b'{"actor":"dev')  # the power went
    journal.append(TUNNEL, "ended", {})
    assert verify(written(tmp_path).read_bytes(), TUNNEL).count == 2


def test_a_log_whose_key_is_gone_is_not_begun_anew(tmp_path: Path, journal: DiskJournal, vault: FolderVault) -> None:
    """A keeper that is a moment late, after the session was erased, must not take the log with it."""
    for event in ("requested", "ended"):
        journal.append(TUNNEL, event, {})
    before = written(tmp_path).read_bytes()
    vault.erase(TUNNEL)
    with pytest.raises(UsageError, match="cannot be written on") as refused:
        journal.append(TUNNEL, "logged-in", {})
    assert refused.value.code == "log.dump"
    assert written(tmp_path).read_bytes() == before


def test_two_who_write_at_once_write_one_after_the_other(tmp_path: Path, vault: FolderVault) -> None:
    """The keeper notes who logged in while a tool ends the session."""

    def write(actor: str) -> None:
        for number in range(20):
            DiskJournal(tmp_path / "log", vault, ManualClock()).append(TUNNEL, actor, {"n": number})

    DiskJournal(tmp_path / "log", vault, ManualClock()).append(TUNNEL, "requested", {})
    with ThreadPoolExecutor(2) as both:
        list(both.map(write, ("keeper", "tool")))
    assert verify(written(tmp_path).read_bytes(), TUNNEL).count == 41


def test_an_edited_line_shows(tmp_path: Path, journal: DiskJournal) -> None:
    journal.append(TUNNEL, "requested", {"ttl": 60})
    journal.append(TUNNEL, "ended", {})
    log = written(tmp_path).read_bytes().replace(b'"ttl":60', b'"ttl":61')
    with pytest.raises(LogBroken, match="line 1"):
        verify(log, TUNNEL)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path, journal: DiskJournal) -> None:
    (tmp_path / "log").mkdir(mode=0o700)
    target = tmp_path / "elsewhere"
    target.write_text("kept")
    written(tmp_path).symlink_to(target)
    with pytest.raises(UsageError, match="symbolic") as refused:
        journal.append(TUNNEL, "requested", {})
    assert refused.value.code == "file.kind"
    assert target.read_text() == "kept"


def test_a_log_that_others_may_write_is_not_written_on(tmp_path: Path, journal: DiskJournal) -> None:
    journal.append(TUNNEL, "requested", {})
    written(tmp_path).chmod(0o666)
    before = written(tmp_path).read_bytes()
    with pytest.raises(UsageError, match="other users may change") as refused:
        journal.append(TUNNEL, "ended", {})
    assert (refused.value.code, str(written(tmp_path)) in refused.value.next_step) == ("file.mode", True)
    assert written(tmp_path).read_bytes() == before


@pytest.mark.parametrize("kept", [b"", b"{", b"\xff\xfe", b'{"count":1}', b"[]"])
def test_a_damaged_state_is_named_and_adds_no_line(tmp_path: Path, vault: FolderVault, kept: bytes) -> None:
    journal = DiskJournal(tmp_path / "log", vault, ManualClock())
    journal.append(TUNNEL, "requested", {})
    before = written(tmp_path).read_bytes()
    vault.put(TUNNEL, "audit", Secret(kept))
    with pytest.raises(UsageError) as refused:
        journal.append(TUNNEL, "ended", {})
    assert vault.path(TUNNEL, "audit") in refused.value.message
    assert refused.value.next_step == f"End that session: inv stop {TUNNEL[:8]}"
    assert written(tmp_path).read_bytes() == before


def test_every_session_is_read_back_and_checked(tmp_path: Path, journal: DiskJournal) -> None:
    assert journal.sessions() == []
    journal.append(TUNNEL, "requested", {"tunnel": TUNNEL})
    journal.append(TUNNEL, "ended", {"reason": "x"})
    (told,) = journal.sessions()
    assert (told.short, told.tunnel, told.broken) == (TUNNEL[:8], TUNNEL, "")
    assert [entry.event for entry in told.entries] == ["requested", "ended"]
    (tmp_path / "log" / "notes.txt").touch()
    assert len(journal.sessions()) == 1


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda log: log.replace(b"yes", b"no!", 1), "log.chain"),
        (lambda log: log.split(b"\n", 1)[1], "log.line"),  # the first line names the tunnel
        (lambda log: log.replace(TUNNEL.encode(), (TUNNEL[:8] + "0" * 24).encode(), 1), "log.chain"),
        (lambda log: log.replace(TUNNEL.encode(), b"f" * 32, 1), "log.line"),
        (lambda log: log[:-5], "log.line"),
        (lambda log: b"", "log.line"),
        (lambda log: b"\xff\x00", "log.line"),
    ],
)
def test_what_does_not_hold_is_said(
    tmp_path: Path, journal: DiskJournal, edit: Callable[[bytes], bytes], problem: str
) -> None:
    journal.append(TUNNEL, "requested", {"tunnel": TUNNEL})
    journal.append(TUNNEL, "consented", {"said": "yes"})
    journal.append(TUNNEL, "ended", {})
    written(tmp_path).write_bytes(edit(written(tmp_path).read_bytes()))
    (told,) = journal.sessions()
    assert told.broken == problem


def test_each_line_is_echoed_once_it_is_written(tmp_path: Path, vault: FolderVault) -> None:
    said: list[str] = []

    def echo(text: str) -> None:
        assert text.split()[0].encode() in written(tmp_path).read_bytes()
        said.append(text)

    journal = DiskJournal(tmp_path / "log", vault, ManualClock(), echo=echo)
    journal.append(TUNNEL, "requested", {"ttl": 300})
    journal.append(TUNNEL, "ended", {"reason": "two\nlines"})
    assert said == ["requested ttl=300", "ended reason='two\\nlines'"]
