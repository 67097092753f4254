"""The roles headscale and tailscale_node: as Ansible makes them, a second time, broken, without an interface, and undone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.headscale.client import HeadscaleClient
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.tailnet import Passage, with_passage
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import probes, tailnet_probes, undo_report, undo_script
from support_tunnel.testing.scratch_cloud import scratch_cloud
from tests.headscale.authority import private_authority
from tests.roles.hosts import PATIENCE, run
from tests.roles.judge import Ansible
from tests.roles.tailnet import CONNECT, OTHER, SESSION_PORT, Host, Node, Server, listen, make_host, make_server

pytestmark = pytest.mark.onebox

PASSAGE = Passage("st-2025-001", "0badcafe", ("hana",), (SESSION_PORT,))
UNDO = "/run/support_tunnel-undo/0badcafe"


@pytest.fixture(scope="module")
def hosts(tools: None) -> Iterator[tuple[Server, Host]]:
    """A server's host and another; both get both roles."""
    with scratch_cloud() as driver, ExitStack() as ends:
        yield ends.enter_context(make_server(driver)), ends.enter_context(make_host(driver, "other"))


@pytest.fixture(scope="module")
def server(hosts: tuple[Server, Host]) -> Server:
    hosts[0].apply()
    return hosts[0]


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[HeadscaleClient]:
    with server.client() as made:
        made.set_policy(with_passage(None, PASSAGE))
        yield made


@pytest.fixture
def device(hosts: tuple[Server, Host], client: HeadscaleClient) -> Iterator[Node]:
    """The other host, not joined; whatever the test made of it is undone."""
    host = hosts[1]
    host.look("mkdir -p -m 700 /run/support_tunnel-undo")
    yield Node(host, PASSAGE.device, hosts[0], (PASSAGE.device_tag,), {"tailscale_node_ports": [SESSION_PORT]})
    undo(host)
    for node in client.nodes():
        client.delete_node(node.id)


def undo(host: Host) -> None:
    report = undo_report(host.shell.run_script(undo_script(UNDO), timeout=60))
    assert report.failed is None, report.failed


def seen(host: Host, paths: str, units: str) -> list[str]:
    """Kind, owner, mode and digest of everything below `paths`, without the digests of what the programs write themselves."""
    return host.look(
        f"""find {paths} | grep -v /node/ | sort | while read -r path; do
            stat -c '%N %F %U:%G %a' "$path"
            case $path in /var/lib/headscale/*|*/bin/*) ;; *) [ ! -f "$path" ] || sha256sum <"$path" ;; esac
        done
        for unit in {units}; do systemctl is-active "$unit"; systemctl is-enabled "$unit"; done
        getent passwd headscale | cut -d: -f1,5-; nft list ruleset"""
    ).splitlines()


@pytest.mark.oracle
def test_both_roles_are_what_ansible_makes_of_them(
    server: Server, hosts: tuple[Server, Host], client: HeadscaleClient, tmp_path: Path
) -> None:
    other = hosts[1]
    ansible = Ansible(tmp_path, other.address, "root", other.private, other.host_key)
    ours, theirs = (Node(host, "0badbeef", server, (PASSAGE.helper_tag("hana"),)) for host in (server.host, other))
    key = client.create_join_key(600, tags=theirs.tags).text
    given = server.variables() | theirs.variables()  # the same for both: nobody asks the second server
    what = (
        "/etc/headscale /opt/headscale /usr/local/bin/headscale /etc/systemd/system/headscale.service /var/lib/headscale"
        " /run/support_tunnel /run/systemd/system",
        f"headscale {ours.unit}",
    )
    try:
        assert ours.join(client).changed
        assert ansible.play(("headscale", "tailscale_node"), given | {"tailscale_node_key": key}) > 0
        assert len(client.nodes()) == 2
        assert seen(ours.host, *what) == seen(theirs.host, *what)
        assert not server.apply().changed
        assert not ours.apply().changed
        assert ansible.play(("headscale", "tailscale_node"), given) == 0
        assert len(client.nodes()) == 2
    finally:
        for host in (ours.host, theirs.host):
            host.look(f"systemctl stop {ours.unit}; rm -r /run/support_tunnel /run/systemd/system/{ours.unit}")
        for node in client.nodes():
            client.delete_node(node.id)


def test_settings_that_do_not_hold_do_not_end_the_server_that_runs(server: Server) -> None:
    identity = "systemctl show headscale.service -P MainPID -P NRestarts"
    before = server.host.look(identity)
    with pytest.raises(HostError, match="Judge the settings") as refused:
        server.apply(headscale_inactivity_timeout="5s")
    assert "inactivity_timeout" in refused.value.message
    assert server.host.look(identity) == before
    assert "Restart Headscale" in {o.task for o in server.apply().outcomes if o.status == "changed"}
    assert server.host.look(identity) != before


def test_a_program_of_another_digest_is_not_taken(server: Server) -> None:
    with pytest.raises(HostError, match="as it was laid on the host"):
        server.apply(headscale_sha256="0" * 64)
    server.host.look(f"test ! -e /opt/headscale/{'0' * 64}/headscale; rmdir /opt/headscale/{'0' * 64}")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"headscale_server_url": "http://10.0.0.1"}, "https"),
        ({"headscale_certificate": ""}, "headscale_acme_email"),
        ({"headscale_acme_email": "a@example.org"}, "headscale_acme_email"),
        ({"headscale_url": "https://example.org/headscale"}, "headscale_source"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(server: Server, more: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        server.apply(**more)


def test_the_service_can_do_little(server: Server) -> None:
    score = server.host.look("systemd-analyze security --no-pager headscale.service | tail -n 1")
    assert float(score.split(":")[1].split()[0]) < 2.5, score
    listening = server.host.look(
        "ss -Hltnup | grep headscale | awk '{print $1, $5}' | grep -v '127[.]0[.]0[.]1:'"
    ).splitlines()
    assert [(words[:3], words.rpartition(":")[2]) for words in sorted(listening)] == [("tcp", "443"), ("udp", "3478")]
    loose = "find /var/lib/headscale /run/headscale /etc/headscale -perm /007"
    assert server.host.look(loose) == ""


STATE = """
find /run /etc /var/lib /var/cache /root /opt /usr/local -xdev ! -path '/run/log/*' ! -path '/run/systemd/*' ! -path '/run/udev/*' \
    ! -path '/run/user/*' ! -path '/var/lib/systemd/*' ! -path '/run/support_tunnel-undo*' ! -path '/run/sshd*' -printf '%p %M %U:%G %s\\n' |
    grep -v -e '^/run ' -e '/utmp ' | sort
ls /run/systemd/system; ip -br link | cut -d' ' -f1; ip rule; ip -6 rule; ip route show table all | grep -v '^local\\|^broadcast' | sort
nft list ruleset; ps -eo args | grep -c '[t]ailscale'; :
"""
"""What a join could leave: files, units, interfaces, rules and routes, packet filters, processes."""


def test_nothing_of_a_node_is_left_on_a_device(device: Node, client: HeadscaleClient) -> None:
    before = device.host.look(STATE)
    device.join(client, undo=UNDO)
    device.host.look(f"ip link show st-{device.short}; ip rule | grep -q 'lookup 52'")
    secret = run(device.host.shell, f"ls /run/support_tunnel/{device.short}/node/key")
    assert secret.status != 0, "the join key is gone once it was used"
    assert device.host.look("find /run/support_tunnel -type f -perm /077") == ""
    undo(device.host)
    assert device.host.look(STATE) == before


def test_why_a_join_was_refused_is_known_afterwards(device: Node, client: HeadscaleClient) -> None:
    minted = client.create_join_key(600, tags=device.tags)
    client.expire_join_key(minted.known.id)
    names = Names(TunnelId(device.short + "0" * 24))
    with pytest.raises(HostError, match="The node is up"):
        device.apply(UNDO, tailscale_node_key=minted.text)
    said = probes.read(device.host.shell, tailnet_probes.join_refused(names), timeout=30)
    assert "authkey expired" in said["refused"]
    assert minted.text.reveal() not in said["refused"]
    undo(device.host)
    device.join(client, undo=UNDO)
    assert probes.read(device.host.shell, tailnet_probes.join_refused(names), timeout=30) == {}


def test_a_daemon_that_is_killed_leaves_no_network_behind(device: Node, client: HeadscaleClient) -> None:
    device.join(client, undo=UNDO)
    device.host.look(
        f"systemctl kill --signal=KILL {device.unit}; until ! ip link show st-{device.short}; do sleep 0.05; done"
    )
    device.host.look("until ! ip rule | grep -q 'lookup 52' && ! nft list tables | grep -q st-; do sleep 0.05; done")


def test_a_second_tailscale_is_not_disturbed(device: Node, client: HeadscaleClient) -> None:
    device.host.look("ip rule add priority 5270 table 52; nft add table inet theirs")
    try:
        with pytest.raises(HostError, match="The node is up"):
            device.join(client, undo=UNDO)
        assert "another Tailscale runs here" in device.host.look(f"journalctl -u {device.unit} --no-pager")
        assert "lookup 52" in device.host.look("ip rule")
    finally:
        device.host.look("ip rule delete priority 5270 table 52; nft delete table inet theirs")


def test_without_an_interface_a_connection_is_handed_to_loopback(
    server: Server, device: Node, client: HeadscaleClient
) -> None:
    listen(device)
    helper = Node(server.host, "0badbeef", server, (PASSAGE.helper_tag("hana"),), {"tailscale_node_opens": True})
    try:
        device.join(client, undo=UNDO, tailscale_node_tun=False)
        helper.join(client)
        address = device.addresses[0]
        ways = f'[["{address}", {SESSION_PORT}], ["{address}", {OTHER}]]'
        # The two have to hear of each other first; until then nothing is reached.
        reached = wait_for(
            lambda: (
                found if (found := helper.host.look(shlex.join(["python3", "-c", CONNECT, ways]))) != "[]\n" else None
            ),
            what="the first connection between the two",
            seconds=PATIENCE,
            clock=SystemClock(),
        )
        assert reached == f'[["{address}", {SESSION_PORT}]]\n'
        # Others on the device do not come in by that way.
        knock = f"setpriv --reuid=nobody --clear-groups bash -c 'echo >/dev/tcp/127.0.0.1/{SESSION_PORT}'"
        assert "Connection refused" in run(device.host.shell, knock).stderr
        assert run(device.host.shell, knock.replace(str(SESSION_PORT), str(OTHER))).status == 0
    finally:
        helper.host.look(f"systemctl stop {helper.unit}; rm -r /run/support_tunnel /run/systemd/system/{helper.unit}")
        device.host.look("systemctl stop listening.service")


def test_only_the_authority_that_was_given_is_trusted(server: Server, device: Node, client: HeadscaleClient) -> None:
    """Not even the right one, where the host trusts it and the answer named another."""
    device.host.look(f"mkdir -p /etc/ssl/certs; echo '{server.tls.authority}' >/etc/ssl/certs/test-authority.pem")
    stranger = private_authority(server.host.address).authority
    try:
        with pytest.raises(HostError, match="The node is up"):
            device.join(client, undo=UNDO, tailscale_node_authority=stranger, tailscale_node_join_seconds=5)
        assert "certificate signed by unknown authority" in device.host.look(f"journalctl -u {device.unit} --no-pager")
        assert client.nodes() == []
        undo(device.host)
        device.join(client, undo=UNDO, tailscale_node_authority="")  # the control: what the host trusts would have done
    finally:
        device.host.look("rm /etc/ssl/certs/test-authority.pem")
