"""The lines that a helper pastes who has only Tailscale and ssh, word for word, on a host that knows nothing of us."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.headscale.client import HeadscaleClient
from support_tunnel.cli import paths
from support_tunnel.core.invitation import Invitation
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.core.tailnet import Passage, label, with_passage
from support_tunnel.core.waiting import wait_for
from support_tunnel.testing.scratch_cloud import scratch_cloud
from tests.roles.hosts import run, soon
from tests.roles.tailnet import SESSION_PORT, Host, Node, Server, make_host, make_server

pytestmark = pytest.mark.onebox

NAMES = Names(TunnelId("0badcafe" * 4))
WAY = Passage(label("ST-2025-001"), NAMES.short, (label("Hana Š."),), (SESSION_PORT,))
HOME = "/root/from the admin"
PATIENCE = 120

INSTALLED = """
ln -s PROGRAMS/tailscale /usr/local/bin/tailscale
cat >/etc/systemd/system/tailscaled.service <<'END'
[Service]
Type=notify
ExecStart=PROGRAMS/tailscaled --state=/var/lib/tailscale/tailscaled.state --socket=/run/tailscale/tailscaled.sock --no-logs-no-support
RuntimeDirectory=tailscale
StateDirectory=tailscale
END
systemctl start tailscaled
"""
"""What a distribution's package of Tailscale is to these lines: a service of that name, and a program on the path."""

SESSION = """
useradd --create-home --password '*' USER
mkdir -p /run/session ~USER/.ssh
printf '%s' HOST >/run/session/host_key
chmod 0600 /run/session/host_key
printf '%s\\n' PUBLIC >~USER/.ssh/authorized_keys
chown -R USER ~USER/.ssh
"""

LISTEN = """
systemd-run --quiet --unit=session --collect /usr/sbin/sshd -D -p PORT -h /run/session/host_key -o ListenAddress='[ADDRESS]' -o AllowUsers=USER -o UsePAM=no
until ss -Hltn | grep -q ':PORT '; do sleep 0.05; done
"""


@dataclass(slots=True)
class Invited:
    """A device with a session, and a helper's machine with the files of the invitation."""

    client: HeadscaleClient
    device: Node
    helper: Host
    invitation: Invitation

    def paste(self, lines: str, typed: str = "") -> tuple[int, str]:
        """As a shell reads it that somebody pastes into; what is typed goes to the last program."""
        script = "\n".join([f"cd {shlex.quote(HOME)}", "cat >/run/pasted <<'PASTED'", lines, "PASTED"])
        assert run(self.helper.shell, script).status == 0
        words = f"cd {shlex.quote(HOME)} && printf %s {shlex.quote(typed)} | sh -e /run/pasted"
        done = run(self.helper.shell, words)
        return done.status, done.stdout + done.stderr

    def names(self) -> set[str]:
        return {node.name for node in self.client.nodes()}


@pytest.fixture(scope="module")
def invited(tools: None) -> Iterator[Invited]:
    with (
        scratch_cloud() as driver,
        make_server(driver) as server,
        make_host(driver, "device") as device_host,
        make_host(driver, "helper") as helper,
    ):
        server.apply()
        with server.client() as client:
            client.set_policy(with_passage(None, WAY, []))
            device = Node(device_host, NAMES.short, server, (WAY.device_tag,), {"tailscale_node_ports": [SESSION_PORT]})
            device.join(client)
            yield invite(client, server, device, helper)


def invite(client: HeadscaleClient, server: Server, device: Node, helper: Host) -> Invited:
    helper_private, helper_public = new_keypair()
    host_private, host_public = new_keypair()
    address = next(one for one in device.addresses if ":" in one)
    values = {"USER": NAMES.user, "HOST": shlex.quote(host_private.reveal()), "PUBLIC": shlex.quote(helper_public)}
    device.host.look(filled(SESSION, **values))
    device.host.look(filled(LISTEN, USER=NAMES.user, PORT=str(SESSION_PORT), ADDRESS=address))
    invitation = Invitation(
        tunnel=NAMES.tunnel,
        name="Hana Š.",
        control=server.url,
        authority=server.tls.authority,
        key=client.create_join_key(600, tags=[WAY.helper_tag(WAY.helpers[0])]).text,
        address=address,
        user=NAMES.user,
        host_key=host_public,
        until=soon(timedelta(minutes=30)),
    )
    programs = str(built_tool(paths.REPOSITORY, "tailscaled").parent)
    helper.look(INSTALLED.replace("PROGRAMS", programs))
    files = {"/root/.ssh/id_ed25519": helper_private.reveal()}
    files |= {f"{HOME}/{name}": content.reveal() for name, content in invitation.files.items()}
    for path, content in files.items():
        place = shlex.quote(path)
        helper.look(f'umask 077; mkdir -p "$(dirname {place})"; printf %s {shlex.quote(content)} >{place}')
    return Invited(client, device, helper, invitation)


def filled(script: str, **values: str) -> str:
    for word, value in values.items():
        script = script.replace(word, value)
    return script


def parts(invitation: Invitation) -> tuple[str, str, str]:
    """What is pasted to come in, the login alone, and what is pasted to leave."""
    come, leave = invitation.lines.split("# Afterwards")
    (login,) = [line for line in come.splitlines() if line.startswith("ssh ")]
    assert come.endswith(f"{login}\n")
    return come, login, f"# Afterwards{leave}"


def test_the_lines_lead_into_the_session_and_out_again(invited: Invited) -> None:
    come, login, leave = parts(invited.invitation)
    before = invited.helper.look(
        "systemctl show -P Environment tailscaled; cat /etc/resolv.conf; ls /run/systemd/system"
    )
    assert len(invited.names()) == 1

    status, said = invited.paste(come, "echo I am $(id -un)\n")
    assert (status, f"I am {NAMES.user}" in said) == (0, True), said
    assert len(invited.names()) == 2
    assert invited.invitation.key.reveal() not in invited.helper.look("cat ~/.*history 2>/dev/null; ps -ef; true")
    assert invited.helper.look(f"ls {shlex.quote(HOME)}").split() == [
        f"st-{NAMES.short}.known_hosts",
        f"st-{NAMES.short}.pem",
    ]
    # Without an interface's name server, a route of others, or a port that answers.
    told = invited.helper.look("tailscale debug prefs")
    assert '"CorpDNS": false' in told
    assert '"RouteAll": false' in told
    assert '"ShieldsUp": true' in told

    # Another host key in the session's place: a shell there is not what the helper gets.
    other = new_keypair()[0].reveal()
    invited.device.host.look(
        f"systemctl stop session; printf '%s' {shlex.quote(other)} >/run/session/host_key\n"
        + filled(LISTEN, USER=NAMES.user, PORT=str(SESSION_PORT), ADDRESS=invited.invitation.address)
    )
    status, said = invited.paste(login, "echo I am $(id -un)\n")
    assert status == 255
    assert "Host key verification failed" in said
    assert "I am" not in said

    status, said = invited.paste(leave)
    assert status == 0, said
    wait_for(lambda: len(invited.names()) == 1 or None, what="the server's list", seconds=PATIENCE, clock=SystemClock())
    assert invited.helper.look(f"ls -A {shlex.quote(HOME)}") == ""
    after = invited.helper.look(
        "systemctl show -P Environment tailscaled; cat /etc/resolv.conf; ls /run/systemd/system"
    )
    assert after == before


def test_the_key_lets_nobody_in_a_second_time(invited: Invited) -> None:
    """Whoever finds it later, on a machine that trusts the server as well."""
    place = shlex.quote(f"{HOME}/{invited.invitation.key_file}")
    again = invited.invitation.lines.split("# As yourself")[0]
    for name, content in invited.invitation.files.items():
        path = shlex.quote(f"{HOME}/{name}")
        invited.helper.look(f"printf %s {shlex.quote(content.reveal())} >{path}")
    before = invited.names()
    status, said = invited.paste(again)
    assert status != 0
    assert "already used" in said
    assert invited.names() == before
    invited.helper.look(f"rm -f {place}")
