"""A real PostgreSQL from Debian's package, for as long as the tests of one process: a Unix socket in a folder of its own.

It runs as an account without rights and is reached by nobody else. Whatever becomes of us, kill -9 too, it ends and its folder goes:
the shell that started it waits for the end of a pipe that only we hold.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.api.postgres_schema import migrate
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for

__all__ = ["Postgres", "newest_programs", "real_postgres"]

SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # nobody pulls the plug here
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "autovacuum": "off",
    "log_timezone": "UTC",
}

PROGRAMS = Path("/usr/lib/postgresql")
"""Where Debian puts them, by major version."""

KEEPER = """
start() { "$2/postgres" -D "$1/data" -k "$3" >>"$1/log" 2>&1 & server=$!; }
start "$@"
while read -r word; do
    case $word in
        start) start "$@" ;;
        stop) kill -INT "$server"; wait "$server" ;;
    esac
    echo done
done
kill -QUIT "$server" 2>/dev/null
wait
rm -rf "$1" "$3"
"""
"""A server for as long as the pipe on stdin is open; SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one."""


@dataclass(slots=True)
class Postgres:
    """A running server; `template` is a database with our tables, of which each test gets a copy."""

    sockets: Path
    """Where its socket is; anybody may use it who can see the folder."""
    keeper: subprocess.Popen[str]
    template: str = "template0"

    def dsn(self, database: str, **more: str) -> Secret[str]:
        words = {"host": str(self.sockets), "dbname": database, "user": "postgres"} | more
        return Secret(" ".join(f"{name}={value}" for name, value in words.items()))

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(database).reveal(), autocommit=True)

    @contextmanager
    def database(self, template: str = "") -> Iterator[str]:
        """A new database, a copy of `template` (ours by default; `template0` is empty)."""
        name = f"t{secrets.token_hex(6)}"
        with self.connect() as db:
            db.execute(f"CREATE DATABASE {name} TEMPLATE {template or self.template}".encode())
        try:
            yield name
        finally:
            with self.connect() as db:
                db.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def stop(self) -> None:
        """As an operator does for an upgrade: connections are cut, what was acknowledged is on disk."""
        self._tell("stop")

    def start(self) -> None:
        self._tell("start")
        self.wait_until_up()

    def wait_until_up(self) -> None:
        def answers() -> bool | None:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                return None
            return True

        wait_for(answers, what="PostgreSQL answers", seconds=60, clock=SystemClock())

    def end(self) -> None:
        with self.keeper as keeper:
            assert keeper.stdin is not None
            keeper.stdin.close()
            keeper.wait(timeout=60)

    def _tell(self, word: str) -> None:
        assert self.keeper.stdin is not None
        assert self.keeper.stdout is not None
        self.keeper.stdin.write(f"{word}\n")
        self.keeper.stdin.flush()
        assert self.keeper.stdout.readline() == "done\n"


def newest_programs() -> Path:
    """The folder of its newest version's. Skips where it is not installed."""
    found = max(PROGRAMS.glob("*/bin"), key=lambda path: float(path.parent.name), default=None)
    if found is None:
        pytest.skip("PostgreSQL is not installed (tools/setup)")
    return found


@contextmanager
def real_postgres(**changes: str) -> Iterator[Postgres]:
    """Start it, with other settings of its own where some are given. Skips where it is not installed."""
    programs = newest_programs()
    folder = Path(tempfile.mkdtemp(prefix="st-postgres-"))
    # Not below /tmp where we may choose: a service with a /tmp of its own is to find it too.
    home = pwd.getpwnam("postgres").pw_dir if os.geteuid() == 0 else None
    sockets = Path(tempfile.mkdtemp(prefix="st-postgres-", dir=home))
    try:
        sockets.chmod(0o755)
        if os.geteuid() == 0:
            for made in (folder, sockets):
                shutil.chown(made, "postgres", "postgres")
        _make_cluster(programs, folder, SETTINGS | changes)
        keeper = subprocess.Popen(
            [*_nobody(), "sh", "-c", KEEPER, "sh", str(folder), str(programs), str(sockets)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            start_new_session=True,  # Ctrl-C is ours to answer
        )
    except BaseException:
        shutil.rmtree(folder)
        shutil.rmtree(sockets)
        raise
    server = Postgres(sockets, keeper)
    try:
        server.wait_until_up()
        with server.database() as ours:
            with closing(server.connect(ours)) as db:
                migrate(db)
            server.template = ours
            yield server
    finally:
        server.end()


def _make_cluster(programs: Path, folder: Path, settings: dict[str, str]) -> None:
    command = [str(programs / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "--no-sync"]
    command += ["--locale=C", "--encoding=UTF8", "--no-instructions"]
    subprocess.run([*_nobody(), *command], check=True, timeout=120, cwd="/", stdout=subprocess.DEVNULL)
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())


def _nobody() -> list[str]:
    """How to become who runs the server: it refuses to run as root."""
    if os.geteuid() != 0:
        return []
    account = pwd.getpwnam("postgres")
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
