"""What a helper is handed: lines that a shell reads as they were meant, whatever a device or a server had a part in, and no key in them."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from support_tunnel.core.errors import UsageError
from support_tunnel.core.invitation import Invitation
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret

GIVEN = Invitation(
    tunnel=TunnelId("0badcafe" * 4),
    name="Hana",
    control="https://help.example:8443",
    authority="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    key=Secret("hskey-auth-canary"),
    address="fd7a:115c:a1e0::7",
    user="st0badcafe",
    host_key="ssh-ed25519 " + "A" * 68,
    until=datetime(2026, 11, 26, 18, 40, tzinfo=UTC),
)


def commands(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in text.splitlines() if line and not line.startswith("#")]


def test_the_lines_are_these() -> None:
    assert GIVEN.lines == (
        "# For Hana, until 2026-11-26 18:40 UTC. In the folder with st-0badcafe-hana.key and st-0badcafe.pem.\n"
        "# As root: have Tailscale trust this server's own authority, and no other, until you leave or the machine restarts.\n"
        "mkdir -p /run/systemd/system/tailscaled.service.d\n"
        "cp st-0badcafe.pem /run/st-0badcafe.pem\n"
        r"printf '[Service]\nEnvironment=SSL_CERT_FILE=/run/st-0badcafe.pem SSL_CERT_DIR=/run/st-0badcafe.no-others\n'"
        " >/run/systemd/system/tailscaled.service.d/st-0badcafe.conf\n"
        "systemctl daemon-reload\n"
        "systemctl restart tailscaled\n"
        "# As root: join the network of this session. The key is good once, and for minutes.\n"
        "tailscale up --login-server=https://help.example:8443 --auth-key=file:st-0badcafe-hana.key"
        " --accept-dns=false --accept-routes=false --shields-up\n"
        "rm -f st-0badcafe-hana.key\n"
        "# As yourself: log in, with the key whose public half you gave; say -i FILE where ssh does not find it.\n"
        f"echo 'st-0badcafe ssh-ed25519 {'A' * 68}' >st-0badcafe.known_hosts\n"
        "ssh -a -x -o HostKeyAlias=st-0badcafe -o UserKnownHostsFile=st-0badcafe.known_hosts"
        " -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o UpdateHostKeys=no"
        " -o HostKeyAlgorithms=ssh-ed25519 st0badcafe@fd7a:115c:a1e0::7 -p 47022\n"
        "# Afterwards, as root: leave.\n"
        "tailscale logout\n"
        "rm -f /run/systemd/system/tailscaled.service.d/st-0badcafe.conf /run/st-0badcafe.pem\n"
        "rmdir --ignore-fail-on-non-empty /run/systemd/system/tailscaled.service.d\n"
        "systemctl daemon-reload\n"
        "systemctl restart tailscaled\n"
        "rm -f st-0badcafe.known_hosts st-0badcafe-hana.key st-0badcafe.pem\n"
    )


def test_the_key_is_in_its_file_alone() -> None:
    assert {name: content.reveal() for name, content in GIVEN.files.items()} == {
        "st-0badcafe-hana.key": "hskey-auth-canary",
        "st-0badcafe.pem": GIVEN.authority,
    }
    assert "canary" not in GIVEN.lines + repr(GIVEN) + repr(GIVEN.files)


@pytest.mark.parametrize("name", ["Zoë Ö. Łukasz", "a b", "ann+bob@x", "-rf", "../../etc/passwd", "h" * 64, "Straße"])
def test_any_name_makes_one_plain_word_of_a_file(name: str) -> None:
    invited = replace(GIVEN, name=name)
    assert shlex.split(invited.key_file) == [invited.key_file]
    assert "/" not in invited.key_file
    assert len(invited.key_file) <= 64
    assert [words[:2] for words in commands(invited.lines)] == [words[:2] for words in commands(GIVEN.lines)]
    for line in invited.lines.splitlines():
        assert f" {name}" not in line or line.startswith("# For ")


def test_two_helpers_have_two_files() -> None:
    names = ["Ann", "Ann B", "Ann-B", "ann.b"]
    assert len({replace(GIVEN, name=name).key_file for name in names}) == len(names)


@pytest.mark.parametrize("hostile", ["$(id)", "`id`", "a;id", "a b", "'", '"', "a'b", "\\", "*", "~root", "#x", "%h"])
@pytest.mark.parametrize("field", ["control", "address", "user"])
def test_what_others_had_a_part_in_stays_one_word(field: str, hostile: str) -> None:
    told = commands(replace(GIVEN, **{field: hostile}).lines)  # type: ignore[arg-type]  # each of them is a text
    plain = commands(GIVEN.lines)
    assert [len(words) for words in told] == [len(words) for words in plain]
    (where,) = [index for index, words in enumerate(plain) if getattr(GIVEN, field) in " ".join(words)]
    assert hostile in " ".join(told[where])
    assert [words for index, words in enumerate(told) if index != where] == [
        words for index, words in enumerate(plain) if index != where
    ]


@pytest.mark.parametrize("hostile", ["a\nid", "a\rid", "\x1b[2J", "-oProxyCommand=id", "fd7a::1\u2028id", "ä"])
@pytest.mark.parametrize("field", ["control", "address", "user", "host_key"])
def test_what_cannot_stand_in_a_line_is_refused(field: str, hostile: str) -> None:
    with pytest.raises(UsageError) as caught:
        replace(GIVEN, **{field: hostile})  # type: ignore[arg-type]  # each of them is a text
    assert caught.value.code == "invitation.value"


def test_a_name_of_two_lines_is_refused() -> None:
    with pytest.raises(UsageError):
        replace(GIVEN, name="Ann\nid")
