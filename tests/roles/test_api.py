"""The role `api` on a fresh Debian 13 host without a way out: real clients through nginx, twice, killed, upgraded, hardened."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from support_tunnel.adapters.tls_pin import parse_fingerprint, pinned_context
from support_tunnel.core.errors import HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob
from support_tunnel.core.secret import Secret
from support_tunnel.flows.deploy_api import StoreAt
from support_tunnel.testing.scratch_cloud import scratch_cloud
from tests.api.postgres import Postgres, real_postgres
from tests.roles.api_host import DOMAIN, Host, make_api_host
from tests.roles.hosts import run
from tests.roles.supplies import ROOT

pytestmark = pytest.mark.onebox

MOST_EXPOSED = 2.0
"""Of 10, by `systemd-analyze security`, which calls up to 2 OK."""

SCRAPE = """
import ssl, sys, urllib.request as web
context = ssl._create_unverified_context()  # on the host itself, by an address that no certificate names
request = web.Request("https://127.0.0.1/metrics", headers={"Authorization": sys.argv[1]})
print(web.urlopen(request, context=context, timeout=20).read().decode())
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with real_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("api")
    with scratch_cloud() as driver, make_api_host(driver, folder, seen=[postgres.sockets]) as made:
        assert made.deploy().changed
        yield made


@pytest.fixture
def pinned(host: Host) -> Iterator[httpx.Client]:
    context = pinned_context(parse_fingerprint(host.pin))
    with httpx.Client(base_url=host.url, verify=context, trust_env=False) as http:
        yield http


def test_the_second_time_changes_nothing(host: Host) -> None:
    assert [outcome.task for outcome in host.deploy().outcomes if outcome.status == "changed"] == []


def test_the_command_deploys_and_says_what_is_next(host: Host, tmp_path: Path) -> None:
    files = {
        "login": host.ssh_key.reveal(),
        "tls.pem": host.certificate.certificate,
        "tls.key": host.certificate.key.reveal(),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    address = host.url.removeprefix("https://")
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "known_hosts").write_text(f"{address} {host.host_key}\n")
    command = [
        sys.executable, "-m", "fabric", "api.deploy", address, "--domain", DOMAIN, "--json", "--wheels", str(host.wheels),
        "--identity", str(tmp_path / "login"), "--certificate", str(tmp_path / "tls.pem"), "--key", str(tmp_path / "tls.key"),
    ]  # fmt: skip
    environment = os.environ | {"HOME": str(tmp_path / "home")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    # The same sources make the same wheel, so there is nothing to do.
    assert json.loads(done.stdout) == {
        "url": f"https://{DOMAIN}",
        "release": host.release.digest,
        "changed": [],
        "next": f"ssh root@{address} support-tunnel-api token.create --name NAME",
    }


def test_a_session_goes_through_the_proxy(host: Host) -> None:
    tunnel, claim = TunnelId(secrets.token_hex(16)), Secret(secrets.token_bytes(32))
    with host.face() as device, host.face(token=host.new_token("Ann"), claim=claim) as admin:
        device.open(tunnel, b"offer", claim=claim, ttl=600)
        assert [row.tunnel for row in admin.tunnels()] == [tunnel]
        assert (
            list(device.messages(tunnel, after=1, wait=6)) == []
        )  # a poll is held, longer than any timeout of nginx's
        admin.post(tunnel, "answer", bytes(16 * 1024))
        assert list(device.messages(tunnel, after=1, wait=20)) == [Blob(2, "answer", bytes(16 * 1024))]
        device.close(tunnel)


def test_it_comes_back_after_a_kill_and_has_everything(host: Host) -> None:
    tunnel = TunnelId(secrets.token_hex(16))
    pid = "systemctl show -P MainPID support-tunnel-api.service"
    with host.face() as device:
        device.open(tunnel, b"offer", claim=Secret(bytes(32)), ttl=600)
        before = host.look(f"{pid}; systemctl kill -s KILL support-tunnel-api.service")
        device.post(tunnel, "confirm", b"m3")
        assert [blob.data for blob in device.messages(tunnel, after=0, wait=0)] == [b"offer", b"m3"]
        assert host.look(pid) != before


def test_the_service_may_do_next_to_nothing(host: Host) -> None:
    verdict = host.look("systemd-analyze security --no-pager support-tunnel-api.service").splitlines()[-1]
    assert float(verdict.split("level for")[1].split(":")[1].split()[0]) <= MOST_EXPOSED, verdict
    pid = "$(systemctl show -P MainPID support-tunnel-api.service)"
    status = dict(line.split(":\t", 1) for line in host.look(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)
    assert (status["CapEff"], status["CapBnd"], status["NoNewPrivs"], status["Seccomp"]) == (
        "0" * 16,
        "0" * 16,
        "1",
        "2",
    )
    assert host.look(f"ps -o user:32= -p {pid}").strip() == "support-tunnel-api"
    # By what it can do, from inside its own mounts.
    inside = f"nsenter -t {pid} -m -- setpriv --reuid support-tunnel-api --regid support-tunnel-api --clear-groups"
    for path in ("/opt/support_tunnel/x", "/etc/x", "/var/x", "/home/x", "/opt/support_tunnel/current/x"):
        assert run(host.shell, f"{inside} touch {path}").status != 0, path
    assert (
        run(host.shell, f"{inside} touch /var/lib/support_tunnel_api/x && rm /var/lib/support_tunnel_api/x").status == 0
    )
    assert run(host.shell, f"{inside} cat /etc/nginx/support_tunnel/tls.key").status != 0
    assert host.look(
        "stat -c '%a %U' /var/lib/support_tunnel_api /var/lib/support_tunnel_api/mailbox.sqlite"
    ).splitlines() == [
        "700 support-tunnel-api",
        "600 support-tunnel-api",
    ]


def test_the_network_sees_https_and_nothing_else(host: Host) -> None:
    listening = {line.split()[3] for line in host.look("ss -Hltn").splitlines()}
    assert {one for one in listening if not one.endswith(":22")} == {"0.0.0.0:443", "[::]:443", "127.0.0.1:8480"}


def test_large_and_slow_requests_end_at_the_proxy(host: Host, pinned: httpx.Client) -> None:
    assert pinned.put("/v1/tunnels/x", content=bytes(25 * 1024)).status_code == 413
    assert pinned.get("/healthz", headers={"X": "x" * 20_000}).status_code == 400
    assert pinned.get("/healthz").json() == {"status": "ok"}


def test_no_log_holds_an_id_or_an_address(host: Host, pinned: httpx.Client) -> None:
    tid = secrets.token_hex(16)
    pinned.get(f"/v1/tunnels/{tid}/messages")
    logs = host.look("journalctl --no-pager; cat /var/log/nginx/* 2>/dev/null; true")
    assert tid not in logs
    assert "GET /" not in logs


def test_tokens_and_history_are_backed_up_while_it_runs(host: Host) -> None:
    host.new_token("Bob")
    file = "/var/lib/support_tunnel_api/backup.sqlite"
    assert host.look(f"support-tunnel-api backup {file} && stat -c %a {file}").splitlines()[-1] == "600"
    refused = run(host.shell, f"support-tunnel-api restore {file}")
    assert (refused.status, "backup.live" in refused.stderr) == (2, True)
    away = "systemctl stop support-tunnel-api && mkdir /root/away && mv /var/lib/support_tunnel_api/mailbox.sqlite* /root/away"
    host.look(f"{away} && support-tunnel-api restore {file} && systemctl start support-tunnel-api")
    names = [row["name"] for row in json.loads(host.look("support-tunnel-api token.list --json"))]
    assert "Bob" in names
    with host.face() as device:
        device.open(TunnelId(secrets.token_hex(16)), b"offer", claim=Secret(bytes(32)), ttl=60)


def test_an_upgrade_keeps_the_store_and_a_broken_one_changes_nothing(host: Host) -> None:
    tunnel = TunnelId(secrets.token_hex(16))
    current = "readlink /opt/support_tunnel/current"
    with host.face() as device:
        device.open(tunnel, b"offer", claim=Secret(bytes(32)), ttl=600)
        with pytest.raises(HostError, match="Virtual environment"):
            host.deploy(replace(host.release, requirements="no-such-package==1 --hash=sha256:" + "0" * 64))
        assert host.look(current) == f"releases/{host.release.digest}\n"
        newer = replace(host.release, requirements=host.release.requirements + "\n# the next release\n")
        changed = [outcome.task for outcome in host.deploy(newer).outcomes if outcome.status == "changed"]
        assert "The release in use" in changed
        assert "Restart the API" in changed
        assert host.look(current) == f"releases/{newer.digest}\n"
        assert [blob.data for blob in device.messages(tunnel, after=0, wait=0)] == [b"offer"]


def test_a_forged_address_is_dropped_and_metrics_stay_inside(host: Host, pinned: httpx.Client) -> None:
    watcher = {"Authorization": f"Bearer {host.new_token('prometheus', 'metrics')}"}
    assert pinned.get("/metrics", headers=watcher).status_code == 403
    text = host.look(f"python3 -c '{SCRAPE}' '{watcher['Authorization']}'")
    assert 'support_tunnel_tunnels{state="open"}' in text
    opened = [
        pinned.put(
            f"/v1/tunnels/{secrets.token_hex(16)}",
            json={"offer": "bTE=", "device_token_sha256": "00" * 32, "claim_sha256": "00" * 32, "ttl": 1},
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
        ).status_code
        for number in range(121)
    ]
    assert opened[-1] == 429  # one address paid for all, whatever it said it was


def test_it_moves_to_a_database_and_back(host: Host, postgres: Postgres) -> None:
    """As docs/operations.md says it: a backup, the same command with the database, the backup into it."""
    password, state = "hunter2-of-the-database", "/var/lib/support_tunnel_api"
    token, tunnel = host.new_token("Mover"), TunnelId(secrets.token_hex(16))
    host.look(f"support-tunnel-api backup {state}/moving.backup")
    with postgres.database("template0") as name:
        there = StoreAt(postgres.dsn(name, password=password))
        assert "Where the database is" in {
            one.task for one in host.deploy(store=there).outcomes if one.status == "changed"
        }
        assert [one.task for one in host.deploy(store=there).outcomes if one.status == "changed"] == []
        host.look(f"support-tunnel-api restore {state}/moving.backup")
        with host.face() as device, host.face(token=token) as admin:
            device.open(tunnel, b"offer", claim=Secret(bytes(32)), ttl=600)
            assert [row.tunnel for row in admin.tunnels()] == [tunnel]
        with closing(postgres.connect(name)) as db:
            assert db.execute("SELECT tid FROM tunnels").fetchall() == [(tunnel,)]
        # The password is where it has to be, and nowhere else.
        assert host.look("stat -c '%a %U:%G' /etc/support_tunnel/api_database") == "640 root:support-tunnel-api\n"
        pid = "$(systemctl show -P MainPID support-tunnel-api.service)"
        told = host.look(
            f"cat /proc/{pid}/cmdline /proc/{pid}/environ | tr '\\0' ' '; journalctl --no-pager;"
            " cat /etc/systemd/system/support-tunnel-api.service /usr/local/sbin/support-tunnel-api"
        )
        assert "api_database" in told
        assert password not in told
        assert host.deploy().changed
    assert run(host.shell, "test -e /etc/support_tunnel/api_database").status == 1
    with host.face(token=token) as admin:
        assert tunnel not in {row.tunnel for row in admin.tunnels()}
