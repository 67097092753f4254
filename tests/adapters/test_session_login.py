"""05-threats test 58: the session's authorized_keys in mode B and of more helpers, as the role writes them, before a real sshd.

Only what the organisation certified for this session gets in, only from the tunnel server, only for its time; the log names
each certificate that was refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_shell import LocalShell
from support_tunnel.core import login_key
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.own_certificates import session_certificate
from support_tunnel.core.ports import Completed
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.session_wish import SessionWish
from support_tunnel.core.st1.people import Helper
from support_tunnel.desired.templating import environment
from support_tunnel.flows.device.note_logins import note_logins
from support_tunnel.flows.device.record import Record
from support_tunnel.testing.loopback_sshd import LoopbackSshd, free_port, loopback_sshd
from support_tunnel.testing.records import FolderVault, MemoryJournal
from tests.core.test_login_key import ED25519, P256, SK_ED25519, SK_P256

TEMPLATES = Path(__file__).parents[2] / "roles" / "device_access" / "templates"
SHORT = "0badcafe"
HERE = "127.0.0.1"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
KEY_ID = "st:0badcafe:Ada:T-1"


def now() -> datetime:
    return SystemClock().now().astimezone(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Session:
    folder: Path
    sshd: LoopbackSshd
    allowed: Path

    def lets_in(
        self,
        *,
        expiry: datetime,
        server: str = HERE,
        ports: tuple[int, ...] = (),
        keys: tuple[str, ...] = (),
        helpers: tuple[str, ...] = (),
        helpers_from: str = "",
    ) -> None:
        """Write what the role writes on a device: in mode B, unless `keys` are named."""
        written = environment([TEMPLATES]).get_template("authorized_keys.j2")
        self.allowed.write_text(
            written.render(
                device_access_authorized_keys=list(keys),
                device_access_sources=[server],
                device_access_helper_keys=list(helpers),
                device_access_helper_sources=[helpers_from] if helpers_from else [],
                device_access_authorities=[] if keys else [self.public("org-ca")],
                device_access_ports=list(ports),
                device_access_expiry=expiry.strftime("%Y%m%d%H%M%SZ"),
                session_short=SHORT,
            )
        )

    def public(self, name: str) -> str:
        return " ".join((self.folder / f"{name}.pub").read_text().split()[:2])

    def certify(
        self,
        *,
        by: str = "org-ca",
        principal: str = f"st-{SHORT}",
        after: timedelta = -MINUTE,
        before: timedelta = MINUTE,
        options: tuple[str, ...] = ("clear", "permit-pty", f"source-address={HERE}"),
    ) -> None:
        validity = ":".join((now() + when).strftime("%Y%m%d%H%M%SZ") for when in (after, before))
        named = ["-I", KEY_ID, "-n", principal, "-V", validity, *(word for one in options for word in ("-O", one))]
        processes.run(["ssh-keygen", "-q", "-s", self.folder / by, *named, self.folder / "session.pub"])

    def ssh(self, *words: str, options: tuple[str, ...] = (), key: str = "session") -> Completed:
        given = (
            *("-F", "/dev/null", "-i", self.folder / key, "-p", str(self.sshd.port)),
            *("-o", f"CertificateFile={self.folder / f'{key}-cert.pub'}", "-o", "IdentitiesOnly=yes"),
            *("-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
        )
        return processes.run(["ssh", *given, *options, f"root@{HERE}", *words], timeout=30, accept=None)

    def said(self) -> Callable[[], str]:
        """What sshd logs from here on."""
        before = len(self.sshd.log.read_text())
        return lambda: self.sshd.log.read_text()[before:]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("login")
    allowed = folder / "authorized_keys"
    allowed.touch()
    for name in ("org-ca", "other-ca", "session"):
        processes.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name])
    processes.run(["ssh-keygen", "-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f", folder / "bea"])
    with loopback_sshd(folder / "sshd", f"AuthorizedKeysFile {allowed}") as sshd:
        (folder / "known_hosts").write_text(f"[{HERE}]:{sshd.port} {sshd.host.public}\n")
        yield Session(folder, sshd, allowed)


@pytest.fixture(autouse=True)
def open_for_an_hour(session: Session) -> None:
    session.lets_in(expiry=now() + HOUR)
    session.certify()


def test_a_certificate_of_the_organisation_gets_in_and_its_key_id_is_logged(session: Session) -> None:
    said = session.said()
    assert session.ssh("echo in").stdout == "in\n"
    assert f"ID {KEY_ID} " in said()


def test_what_the_admins_tool_asks_ssh_keygen_for_is_what_gets_in(session: Session) -> None:
    wish = SessionWish(
        session.public("session"), f"st-{SHORT}", KEY_ID, now() - 5 * MINUTE, now() + MINUTE, HERE, forwards=False
    )
    named = ["-I", wish.identity, "-n", wish.principal, "-V", wish.values()["validity"], *wish.options]
    processes.run(["ssh-keygen", "-q", "-s", session.folder / "org-ca", *named, session.folder / "session.pub"])
    session_certificate((session.folder / "session-cert.pub").read_text(), wish)
    assert session.ssh("true").status == 0


@pytest.mark.parametrize(
    ("bent", "reason"),
    [
        ({"before": -MINUTE / 2}, "expired"),
        ({"after": MINUTE / 2}, "not yet valid"),
        ({"principal": "st-0badcaff"}, "principal"),
        ({"principal": "root"}, "principal"),
        ({"by": "other-ca"}, ""),
        ({"options": ("clear", "permit-pty", "source-address=192.0.2.1")}, "source address"),
        ({"options": ("clear", "permit-pty", "critical:unheard-of@example=1")}, "critical"),
    ],
    ids=["expired", "future", "other-session", "for-an-account", "unknown-ca", "wrong-source", "unknown-option"],
)
def test_58_any_other_is_refused_and_logged_with_its_key_id(
    session: Session, bent: dict[str, object], reason: str
) -> None:
    session.certify(**bent)  # type: ignore[arg-type]  # a table of keyword arguments
    said = session.said()
    refused = session.ssh("echo in")
    assert (refused.status, refused.stdout) == (255, "")
    assert "Permission denied" in refused.stderr
    assert KEY_ID in said()
    assert reason in said().lower()


def test_58_the_key_alone_does_not_get_in(session: Session) -> None:
    (session.folder / "session-cert.pub").unlink()
    assert session.ssh("true").status == 255


def test_58_nobody_gets_in_after_the_sessions_own_end_or_from_elsewhere(session: Session) -> None:
    for changed in ({"expiry": now() - MINUTE}, {"expiry": now() + HOUR, "server": "192.0.2.7"}):
        session.lets_in(**changed)
        assert session.ssh("true").status == 255


PTY, FORWARD = ("permit-pty",), ("permit-pty", "permit-port-forwarding")


@pytest.mark.parametrize(
    ("offered", "extensions", "through"),
    [
        ("nothing", PTY, False),
        ("nothing", FORWARD, False),  # `restrict` beats the certificate
        ("it", PTY, False),  # and the certificate beats the offer: both have to allow it
        ("another", FORWARD, False),
        ("it", FORWARD, True),
    ],
)
def test_58_ports_are_reached_only_where_owner_and_certificate_allow_it(
    session: Session, offered: str, extensions: tuple[str, ...], through: bool
) -> None:
    listening = session.sshd.port  # sshd itself: a listener that greets
    session.lets_in(expiry=now() + HOUR, ports={"nothing": (), "it": (listening,), "another": (free_port(),)}[offered])
    session.certify(options=("clear", *extensions, f"source-address={HERE}"))
    told = session.ssh(options=("-W", f"{HERE}:{listening}")).stdout
    assert ("SSH-2.0" in told) is through


# --- more helpers than one --------------------------------------------------------------------------------------------

TAILNET, ALL_OF_HERE = "fd7a:115c:a1e0::/48", "127.0.0.0/8"


def test_a_helper_gets_in_with_their_own_key_and_the_log_says_which(session: Session) -> None:
    bea = session.public("bea")
    session.lets_in(expiry=now() + HOUR, keys=(session.public("session"),), helpers=(bea,), helpers_from=ALL_OF_HERE)
    said = session.said()
    assert session.ssh("echo in", key="bea").stdout == "in\n"
    assert f"Accepted publickey for root from {HERE}" in said()
    assert login_key.fingerprint(bea) in said()


def test_the_sessions_log_is_told_what_sshd_says_of_each_login(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`journalctl` is played here: it has sshd's own words, with the account that a session has in place of root."""
    bea, names = session.public("bea"), Names(TunnelId(SHORT + "0" * 24))
    record = Record(
        "active", Secret(""), now(), now(), Scope("shell"), 60, admin_name="Ada", helpers=(Helper("Bea", bea),)
    )
    said, journal = session.said(), MemoryJournal()
    session.lets_in(expiry=now() + HOUR, keys=(session.public("session"),), helpers=(bea,), helpers_from=ALL_OF_HERE)
    assert [session.ssh("true", key=name).status for name in ("bea", "bea", "session")] == [0, 0, 0]
    session.lets_in(expiry=now() + HOUR)
    assert session.ssh("true").status == 0
    assert session.ssh("true", key="bea").status == 255

    (tmp_path / "said").write_text(said().replace("for root from", f"for {names.user} from"))
    shown = tmp_path / "journalctl"
    shown.write_text(f'#!/bin/sh\n[ "${{*##*--unit=}}" = {names.session_unit} ] && cat {tmp_path}/said\n')
    shown.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    ports: Any = SimpleNamespace(shell=LocalShell(), journal=journal, vault=FolderVault(tmp_path / "vault"))
    for _ in range(2):
        note_logins(ports, names.tunnel, record)
    ours = {"from": HERE, "fingerprint": login_key.fingerprint(session.public("session"))}
    noted = [json.loads(line)[1] for line in journal.lines[names.tunnel]]
    hers = {"who": "Bea", "from": HERE, "fingerprint": login_key.fingerprint(bea)}
    for one in (hers, {"who": "Ada", **ours}, {"key_id": KEY_ID, **ours}):
        assert noted.count(one) == 1
    assert len(noted) == 3


def test_the_admins_key_keeps_its_one_place_and_the_helpers_theirs(session: Session) -> None:
    keys, helpers = (session.public("session"),), (session.public("bea"),)
    for server, helpers_from, who in (("fd7a:115c:a1e0::1", ALL_OF_HERE, "bea"), (HERE, TAILNET, "session")):
        session.lets_in(expiry=now() + HOUR, server=server, keys=keys, helpers=helpers, helpers_from=helpers_from)
        came = [name for name in ("session", "bea") if session.ssh("true", key=name).status == 0]
        assert came == [who]


def test_a_helper_may_do_no_more_than_the_admin(session: Session) -> None:
    """Same end, same ports: what the owner agreed to is written on each line."""
    listening, helpers = session.sshd.port, (session.public("bea"),)
    given: dict[str, Any] = {"keys": (session.public("session"),), "helpers": helpers, "helpers_from": ALL_OF_HERE}
    session.lets_in(expiry=now() - MINUTE, **given)
    assert session.ssh("true", key="bea").status == 255
    for ports, through in (((), False), ((free_port(),), False), ((listening,), True)):
        session.lets_in(expiry=now() + HOUR, ports=ports, **given)
        told = session.ssh(options=("-W", f"{HERE}:{listening}"), key="bea").stdout
        assert ("SSH-2.0" in told) is through


def test_where_an_organisation_vouches_a_helpers_key_alone_does_not_get_in(session: Session) -> None:
    session.lets_in(expiry=now() + HOUR, server="fd7a:115c:a1e0::1", helpers_from=ALL_OF_HERE)
    assert session.ssh("true", key="bea").status == 255
    named = ["-I", KEY_ID, "-n", f"st-{SHORT}", "-V", "-1m:+5m", "-O", "clear", "-O", f"source-address={ALL_OF_HERE}"]
    processes.run(["ssh-keygen", "-q", "-s", session.folder / "org-ca", *named, session.folder / "bea.pub"])
    try:
        assert session.ssh("true", key="bea").status == 0
    finally:
        (session.folder / "bea-cert.pub").unlink()


def test_sshd_takes_each_kind_of_key_that_a_helper_may_bring(session: Session) -> None:
    kinds = (ED25519, P256, SK_ED25519, SK_P256)
    session.lets_in(expiry=now() + HOUR, keys=(session.public("session"),), helpers=kinds, helpers_from=TAILNET)
    listed = processes.run(["ssh-keygen", "-l", "-f", session.allowed]).stdout
    assert [login_key.fingerprint(key) for key in kinds] == [row.split()[1] for row in listed.splitlines()[1:]]
