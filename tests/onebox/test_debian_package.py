"""The Debian package on a fresh Debian 13 host: installed, used, upgraded and removed under live sessions, purged.

Older and newer than the admin's tool, in turn. Played once, then looked at.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from support_tunnel.adapters.deb_release import PACKAGE
from support_tunnel.adapters.local_cloud.snapshot import Snapshot, changes
from support_tunnel.cli.admin.rehearsal.run import NOT_A_CHANGE
from support_tunnel.core.ports import Completed
from tests.onebox.crew import HOST_STATE, Connected, Crew, crew
from tests.releases import NEWER, OLDER, checkout_as
from tests.roles.supplies import wheelhouse
from tools.build_deb import build_deb

pytestmark = pytest.mark.onebox

CONFIG = "/etc/support_tunnel/config.ini"
OF_DPKG = ("var/lib/dpkg", "var/log/dpkg.log", "var/cache", "var/lib/apt", "var/log/apt", "etc/support_tunnel")
"""dpkg's own books; and the settings, which the stage had written before the package came."""

COMPLETE = r"""
. /usr/share/bash-completion/completions/support-tunnel
COMP_WORDS=(support-tunnel stat) COMP_CWORD=1
_complete_support-tunnel support-tunnel stat support-tunnel
printf '%s ' "${COMPREPLY[@]}"
"""


@dataclass(frozen=True, slots=True)
class Life:
    tree: tuple[Snapshot, Snapshot]
    """Before the package came, and after it was purged."""
    host: tuple[str, str]
    seen: dict[str, str]
    """What a script on the device said, by when it was asked."""
    commands: dict[str, Completed]
    """The admin's, by when."""
    refused: Completed
    upgraded: Completed
    left: dict[str, list[str]]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("packages")
    wheels = wheelhouse("device")
    older, newer = (
        build_deb(folder, checkout=checkout_as(version, tmp_path_factory.mktemp("checkout")), wheels=wheels)
        for version in (OLDER, NEWER)
    )
    folder.chmod(0o755)
    with crew(consent=True, image="debian-13", bind_ro=[folder]) as people:
        return _live(people, older, newer)


def _live(people: Crew, older: Path, newer: Path) -> Life:
    seen: dict[str, str] = {}
    commands: dict[str, Completed] = {}
    left: dict[str, list[str]] = {}
    people.device("cloud-init status --wait")  # it makes an account and writes files of its own at the first boot
    people.device(f"echo '; my own words' >>{CONFIG}")
    tree, host = people.tree(), people.device(HOST_STATE)
    seen["settings before"] = people.device(f"sha256sum {CONFIG}")
    seen["cryptography of Debian"] = people.device(
        "python3 -c 'from cryptography.hazmat.primitives.asymmetric import mlkem' 2>&1 | tail -n 1"
    )

    seen["installing"] = people.device(f"dpkg -i {older} 2>&1; echo status $?")
    seen["verified"] = people.device(f"dpkg --verify {PACKAGE} | grep -v /usr/share/doc")
    seen["version"] = people.inv("--version").stdout
    seen["verbs"] = people.inv("--list").stdout
    seen["doctor"] = people.inv("doctor", "--json").stdout
    seen["completion"] = people.device(shlex.join(["bash", "-c", COMPLETE]))
    seen["at boot"] = people.device("systemctl is-enabled support-tunnel-clean.service")
    seen["cleaning"] = people.device("systemctl start support-tunnel-clean.service; echo status $?")

    live = people.connect("--ttl", "10")
    commands["older"] = people.fab("command", live.tunnel[:8], "id -un")
    seen["keeper before"] = _keeper(people, live)
    refused = people.inv("upgrade", "--file", str(newer), "--sha256", "0" * 64)
    sha256 = hashlib.sha256(newer.read_bytes()).hexdigest()
    upgraded = people.inv("upgrade", "--file", str(newer), "--sha256", sha256, "--json")
    seen["version after"] = people.inv("--version").stdout
    seen["screen"] = people.inv("status").stderr
    seen["status after"] = people.inv("status", "--json").stdout
    seen["keeper after"] = _keeper(people, live)
    commands["through the upgrade"] = people.fab("command", live.tunnel[:8], "id -un")
    assert people.fab("stop", live.tunnel[:8]).status == 0
    people.closed()
    left["upgraded"] = people.left(live.tunnel)

    live = people.connect("--ttl", "10")
    commands["newer"] = people.fab("command", live.tunnel[:8], "id -un")
    seen["removing"] = people.device(f"dpkg -r {PACKAGE} 2>&1; echo status $?")
    commands["removed"] = people.fab("command", live.tunnel[:8], "id -un")
    commands["stop after removal"] = people.fab("stop", live.tunnel[:8])
    left["removed"] = people.left(live.tunnel)
    seen["settings after"] = people.device(f"sha256sum {CONFIG}")
    seen["logs"] = people.device("ls /var/log/support_tunnel")
    seen["program"] = people.device("ls -d /usr/lib/support-tunnel /usr/bin/support-tunnel 2>&1")
    seen["purging"] = people.device(f"dpkg -P {PACKAGE} 2>&1; echo status $?")
    seen["purged"] = people.device("ls -d /etc/support_tunnel /var/l*/support_tunnel /run/support_tunnel 2>/dev/null")
    return Life((tree, people.tree()), (host, people.device(HOST_STATE)), seen, commands, refused, upgraded, left)


def _keeper(people: Crew, live: Connected) -> str:
    return people.device(f"systemctl show --value --property=MainPID {live.names.keeper_unit}")


def test_debians_own_library_would_not_do(life: Life) -> None:
    """Why the package brings its own: without this it would be a third of the size."""
    assert "cannot import name 'mlkem'" in life.seen["cryptography of Debian"]


def test_it_installs_without_a_network_and_every_file_is_what_was_packed(life: Life) -> None:
    assert life.seen["installing"].endswith("status 0\n"), life.seen["installing"]
    assert life.seen["verified"] == ""  # but for /usr/share/doc, which the image leaves out
    assert life.seen["version"].strip() == f"support-tunnel {OLDER}"


def test_the_owner_finds_the_verbs_by_list_doctor_and_tab(life: Life) -> None:
    assert "request-and-connect-tunnel" in life.seen["verbs"]
    assert [row for row in json.loads(life.seen["doctor"]) if row["state"] == "fail"] == []
    assert life.seen["completion"].split() == ["status"]


def test_screens_name_the_command_that_is_there(life: Life) -> None:
    assert "support-tunnel stop" in life.seen["screen"]
    assert "inv " not in life.seen["screen"]


def test_the_device_cleans_up_at_boot(life: Life) -> None:
    assert life.seen["at boot"].strip() == "enabled"
    assert life.seen["cleaning"] == "status 0\n"


@pytest.mark.parametrize("device", ["older", "newer"])
def test_a_device_one_release_away_from_the_admin_works(life: Life, device: str) -> None:
    ran = life.commands[device]
    assert (ran.status, ran.stdout[:2]) == (0, "st"), ran.stderr


def test_a_file_that_nobody_vouches_for_is_refused(life: Life) -> None:
    assert life.refused.status == 2
    assert "upgrade.checksum" in life.refused.stderr


def test_a_session_lives_through_an_upgrade_and_ends_cleanly_under_the_new_release(life: Life) -> None:
    assert json.loads(life.upgraded.stdout) == {"before": OLDER, "version": NEWER}, life.upgraded.stderr
    assert life.seen["version after"].strip() == f"support-tunnel {NEWER}"
    assert [row["state"] for row in json.loads(life.seen["status after"])] == ["active"]
    assert life.seen["keeper before"] == life.seen["keeper after"] != ""
    assert life.commands["through the upgrade"].status == 0, life.commands["through the upgrade"].stderr
    assert life.left["upgraded"] == []


def test_removal_ends_the_session_first(life: Life) -> None:
    assert life.seen["removing"].endswith("status 0\n"), life.seen["removing"]
    assert life.commands["removed"].status != 0
    assert life.commands["stop after removal"].status == 0, life.commands["stop after removal"].stderr
    assert life.left["removed"] == []
    assert life.seen["program"].count("No such file") == 2


def test_settings_survive_upgrade_and_removal_and_the_logs_are_kept(life: Life) -> None:
    assert life.seen["settings before"] == life.seen["settings after"] != ""
    assert len(life.seen["logs"].split()) >= 2


def test_purged_the_device_is_as_it_was(life: Life) -> None:
    assert life.seen["purging"].endswith("status 0\n"), life.seen["purging"]
    assert life.seen["purged"] == ""
    assert changes(*life.tree, ignoring=(*NOT_A_CHANGE, *OF_DPKG)) == []
    assert life.host[0] == life.host[1]
