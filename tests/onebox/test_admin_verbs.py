"""The admin's further verbs on real hosts: a broken-off answer goes on; files and ports as far as the owner offered them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.cli.admin.rehearsal.stage import invoke_on_device
from support_tunnel.core.ports import Completed
from support_tunnel.core.st1.code import Code
from tests.onebox.crew import PATIENCE, Connected, Crew, last_json
from tests.onebox.killing import ANSWER, REQUEST, Kill
from tests.pipelines import checkout, jobs, run_job

pytestmark = pytest.mark.onebox


# --- resume ---------------------------------------------------------------------------------------------------------


@contextmanager
def answered_by(people: Crew, kill: Kill, calls: Path, *flags: str) -> Iterator[tuple[Code, Completed]]:
    """A request, and how the tool ended that was killed while it answered; the owner waits on, and is connected at last."""
    with processes.streaming([*people.on.device.ssh, invoke_on_device(*REQUEST)]) as owner:
        code = Code.parse(json.loads(owner.line())["preshared_key"])
        words = [*people.fab_words()[:-1], *kill.words(str(calls), "fab", *ANSWER, "-", *flags)]
        yield code, processes.run(words, stdin=code.text().reveal().encode(), timeout=PATIENCE, accept=None)
        ended = owner.end(timeout=PATIENCE)
        assert last_json(ended.stdout)["event"] == "connected", ended.stderr


def works_and_ends(people: Crew, code: Code) -> None:
    short = code.tunnel[:8]
    assert people.fab("command", short, "id -un").stdout.strip() == f"st{short}"
    assert people.fab("stop", short).status == 0
    people.closed()
    assert people.left(code.tunnel) == []


def test_a_pipeline_answers_a_request_and_ends_it(trusting: Crew, tmp_path: Path) -> None:
    """The job `support` of docs/ci.md, with the code in a variable."""
    where = checkout(tmp_path / "checkout")
    ask = invoke_on_device("request-and-connect-tunnel", "--json", "--ttl", "5")  # the device's rule gives ten
    with processes.streaming([*trusting.on.device.ssh, ask]) as owner:
        code = Code.parse(json.loads(owner.line())["preshared_key"])
        variables = {"SUPPORT_CODE": code.text().reveal(), "TUNNEL_ID": code.tunnel}
        inventory = {"SUPPORT_TUNNEL_INVENTORY": str(trusting.inventory)}
        ended = run_job(jobs()["GitLab"]["support"], where, timeout=100, env={**variables, **inventory})
        owner.end(timeout=100)
    assert [one.status for one in ended] == [0] * 4, ended[-1].stderr
    answered, asked, stopped, swept = ended
    assert last_json(answered.stdout)["event"] == "connected"
    assert last_json(asked.stdout)["status"] == 0
    assert json.loads(stopped.stdout) == {"stopped": code.tunnel}
    assert json.loads(swept.stdout)["failed"] == []
    said = "".join(one.stdout + one.stderr for one in ended)
    assert variables["SUPPORT_CODE"] not in said
    trusting.closed()
    assert trusting.left(code.tunnel) == []


def test_an_answer_that_was_broken_off_goes_on(trusting: Crew, tmp_path: Path) -> None:
    people, undisturbed, killed = trusting, tmp_path / "undisturbed", tmp_path / "killed"
    with answered_by(people, Kill(), undisturbed) as (code, ended):
        assert ended.status == 0, ended.stderr
        assert people.fab("resume", code.tunnel[:8]).status == 4, "it is connected"
    works_and_ends(people, code)

    calls = undisturbed.read_text().split()
    with answered_by(people, Kill(calls.index("mailbox.post") + 1, "after"), killed) as (code, ended):
        assert ended.status == -9
        assert killed.read_text().split()[-1] == "mailbox.post"
        again = people.fab("resume", "--json", code.tunnel[:8])
        assert again.status == 0, again.stderr
        assert last_json(again.stdout)["tunnel_id"] == code.tunnel
    works_and_ends(people, code)


# --- files and ports ------------------------------------------------------------------------------------------------

OFFERED, HIDDEN = 8181, 8282
SERVICE = """
import socket, sys, threading
def serve(port):
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"service %d" % port)
threads = [threading.Thread(target=serve, args=(int(port),)) for port in sys.argv[1:]]
for thread in threads: thread.start()
"""
"""Says its port to whoever comes, on the device's loopback."""
STRANGE = 'a "b" *[x]? \\ y\'z.bin'


@pytest.fixture(scope="module")
def services(trusting: Crew) -> Iterator[Crew]:
    """A device with two services of its own, and a policy that also allows files and both ports."""
    rule = trusting.device("cat /etc/support_tunnel/consent-policy.toml").strip()
    trusting.device(
        f"cat > /etc/support_tunnel/consent-policy.toml <<'END'\n{rule}\nfiles = true\nports = [{OFFERED}, {HIDDEN}]\nEND\n"
        f"cat > /run/service.py <<'END'\n{SERVICE}\nEND\n"
        f"systemd-run --unit=own-service python3 /run/service.py {OFFERED} {HIDDEN}"
    )
    yield trusting
    trusting.device("systemctl stop own-service; rm /run/service.py")


@pytest.fixture(scope="module")
def offered(services: Crew) -> Iterator[Connected]:
    live = services.connect("--ttl", "5", "--files", "--port", str(OFFERED))
    yield live
    assert services.fab("stop", live.tunnel[:8]).status == 0
    services.closed()
    assert services.left(live.tunnel) == []


@contextmanager
def forwarded(people: Crew, live: Connected, port: int, *options: str) -> Iterator[tuple[str, int]]:
    """The admin's own ssh, past every check of ours: what does the device itself let through?"""
    local = free_port()
    config = str(people.vault_file(live.tunnel, "ssh-config"))
    through = ("-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo up", "-N", *options)
    words = ["ssh", "-F", config, *through, "-L", f"127.0.0.1:{local}:127.0.0.1:{port}", "support-tunnel-device"]
    with processes.streaming(words) as ssh:
        assert ssh.line() == "up"
        yield ("127.0.0.1", local)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def heard(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, timeout=30) as connection:
        connection.settimeout(30)
        said = b""
        while more := connection.recv(100):
            said += more
        return said


# First: a device holds one session at a time, and the one with an offer lasts to the end of this module.
def test_without_an_offer_there_are_no_files_and_no_ports(services: Crew, tmp_path: Path) -> None:
    live = services.connect("--ttl", "5")
    here, short = tmp_path / "file", live.tunnel[:8]
    here.write_text("x")
    for words, code in (
        (("put", short, str(here)), "scope.files"),
        (("fetch", short, "/etc/hostname", "--to", str(tmp_path / "x")), "scope.files"),
        (("forward", short, str(OFFERED)), "scope.ports"),
    ):
        refused = services.fab(*words)
        assert (refused.status, code in refused.stderr) == (2, True), words
    config = str(services.vault_file(live.tunnel, "ssh-config"))
    sftp = processes.run(["ssh", "-F", config, "-s", "support-tunnel-device", "sftp"], timeout=PATIENCE, accept=None)
    assert (sftp.status, "subsystem request failed" in sftp.stderr) == (255, True)
    with forwarded(services, live, OFFERED) as door:
        assert heard(door) == b""
    assert services.fab("command", short, f"exec 3<>/dev/tcp/127.0.0.1/{OFFERED}").status != 0
    assert services.fab("stop", short).status == 0
    services.closed()


def test_a_file_goes_there_and_back_the_same(services: Crew, offered: Connected, tmp_path: Path) -> None:
    short = offered.tunnel[:8]
    here, back = tmp_path / STRANGE, tmp_path / "back"
    here.write_bytes(os.urandom(3_000_001))
    here.chmod(0o640)
    put = services.fab("put", "--json", short, str(here))
    assert put.status == 0, put.stderr
    assert last_json(put.stdout) == {"from": str(here), "to": STRANGE}
    assert services.fab("command", short, "ls -A").stdout.splitlines() == [STRANGE], "and no half of one"
    fetched = services.fab("fetch", "--json", short, STRANGE, "--to", str(back))
    assert fetched.status == 0, fetched.stderr
    assert back.read_bytes() == here.read_bytes()
    assert back.stat().st_mode & 0o7777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([STRANGE, "back"])


def test_nothing_is_replaced_without_being_told(services: Crew, offered: Connected, tmp_path: Path) -> None:
    short, here = offered.tunnel[:8], tmp_path / "settings"
    here.write_text("first")
    assert services.fab("put", short, str(here)).status == 0
    here.write_text("second")
    for words in (("put", short, str(here)), ("fetch", short, "settings", "--to", str(here))):
        refused = services.fab(*words)
        assert (refused.status, "file.exists" in refused.stderr) == (2, True)
    assert services.fab("command", short, "cat settings").stdout == "first"
    assert here.read_text() == "second"
    assert services.fab("put", short, str(here), "--force").status == 0
    assert services.fab("command", short, "cat settings").stdout == "second"
    here.write_text("third")
    assert services.fab("fetch", short, "settings", "--to", str(here), "--force").status == 0
    assert here.read_text() == "second"


def test_what_the_device_could_do_to_our_files_it_cannot(services: Crew, offered: Connected, tmp_path: Path) -> None:
    short, here = offered.tunnel[:8], tmp_path / "arrived"
    services.fab("command", short, "echo x > tool; chmod 6777 tool; mkdir -p folder; ln -sf /etc/shadow shadow")
    assert services.fab("fetch", short, "tool", "--to", str(here)).status == 0
    assert here.stat().st_mode & 0o7777 == 0o777
    for name, code in (
        ("folder", "file.kind"),
        ("shadow", "file.denied"),
        ("nothing", "file.missing"),
        ("*", "file.missing"),
        ("/dev/zero", "file.kind"),
    ):
        refused = services.fab("fetch", short, name, "--to", str(tmp_path / "none"))
        assert (refused.status, code in refused.stderr) == (6, True), (name, refused.stderr)
    for name in ("..", "/", "a\nb"):
        assert services.fab("fetch", short, name).status == 2, name
    assert [path.name for path in tmp_path.iterdir()] == ["arrived"]


def test_an_offered_port_is_led_here(services: Crew, offered: Connected) -> None:
    short, local = offered.tunnel[:8], free_port()
    with processes.streaming(services.fab_words("forward", "--json", short, f"{OFFERED}:{local}")) as tool:
        assert json.loads(tool.line()) == {"event": "forwarding", "local": f"127.0.0.1:{local}", "port": OFFERED}
        assert heard(("127.0.0.1", local)) == b"service %d" % OFFERED
        busy = services.fab("forward", short, f"{OFFERED}:{local}")
        assert (busy.status, "port.busy" in busy.stderr) == (2, True)


def test_what_was_not_offered_is_refused_on_both_sides(services: Crew, offered: Connected) -> None:
    refused = services.fab("forward", offered.tunnel[:8], str(HIDDEN))
    assert (refused.status, "scope.ports" in refused.stderr) == (2, True)
    with forwarded(services, offered, OFFERED) as door:
        assert heard(door) == b"service %d" % OFFERED, "the way in which the next line looks works"
    with forwarded(services, offered, HIDDEN) as door:
        assert heard(door) == b""
    in_session = "exec 3<>/dev/tcp/127.0.0.1/{} && cat <&3"
    assert services.fab("command", offered.tunnel[:8], in_session.format(OFFERED)).stdout == f"service {OFFERED}"
    for place in (f"127.0.0.1/{HIDDEN}", f"127.0.0.2/{OFFERED}"):
        assert services.fab("command", offered.tunnel[:8], f"exec 3<>/dev/tcp/{place}").status != 0
