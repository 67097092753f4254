"""What an operator types with `--database`: the service, tokens, backups; and that the connection string stays in its file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support_tunnel.adapters.tls_pin import parse_fingerprint, pinned_context
from support_tunnel.core.secret import Secret
from tests.api.postgres import Postgres

ROOT = Path(__file__).parents[2]
PROGRAM = "from support_tunnel.cli.api.program import main; main()"
PASSWORD = "hunter2-of-the-database"


@pytest.fixture
def file(postgres: Postgres, tmp_path: Path) -> Iterator[Path]:
    """A connection string with a password (which the server does not ask for) in a file of its own."""
    with postgres.database("template0") as name:
        made = tmp_path / "database"
        made.touch(0o600)
        made.write_text(postgres.dsn(name, password=PASSWORD).reveal() + "\n")
        yield made


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *words]


def environment(home: Path, **more: str) -> dict[str, str]:
    return os.environ | {"HOME": str(home), "SUPPORT_TUNNEL_API_STATE": str(home / "state")} | more


def run(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env=environment(home, **more),
        check=False,
    )


@contextmanager
def serving(home: Path, file: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    words = command("serve", "--port", "0", "--database", f"file:{file}")
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment(home)
    ) as process:
        try:
            assert process.stdout is not None
            url, pin = (process.stdout.readline().split()[1] for _ in range(2))
            with httpx.Client(
                base_url=url, verify=pinned_context(parse_fingerprint(pin)), trust_env=False, timeout=60
            ) as it:
                yield process, it
        finally:
            process.kill()


def test_a_token_made_by_the_command_opens_the_service_and_no_secret_is_seen(file: Path, tmp_path: Path) -> None:
    with serving(tmp_path, file) as (process, client):
        made = run(tmp_path, "token.create", "--name", "Ann", SUPPORT_TUNNEL_API_DATABASE=f"file:{file}")
        assert made.returncode == 0, made.stderr
        shown = {"Authorization": f"Bearer {made.stdout.strip()}"}
        assert client.get("/v1/tunnels", headers=shown).json() == {"tunnels": []}
        seen = b"".join(Path(f"/proc/{process.pid}/{what}").read_bytes() for what in ("cmdline", "environ"))
        assert str(file).encode() in seen
        assert PASSWORD.encode() not in seen
        process.terminate()
        said = "".join(process.communicate(timeout=60))
    assert PASSWORD not in said
    assert not (tmp_path / "state" / "mailbox.sqlite").exists()


def test_tokens_move_from_a_file_to_a_database(file: Path, tmp_path: Path) -> None:
    backup, database = str(tmp_path / "a.backup"), ("--database", f"file:{file}")
    assert run(tmp_path, "token.create", "--name", "Ann").returncode == 0
    assert run(tmp_path, "backup", backup).returncode == 0
    moved = run(tmp_path, "restore", backup, *database)
    assert moved.returncode == 0, moved.stderr
    assert '"name": "Ann"' in run(tmp_path, "token.list", "--json", *database).stdout
    again = run(tmp_path, "restore", backup, *database)
    assert (again.returncode, again.stderr.split(":")[0]) == (2, "Error (backup.live)")
    assert run(tmp_path, "backup", f"{backup}.2", *database).returncode == 0


@pytest.mark.parametrize(
    ("prepare", "status", "code"),
    [
        (lambda file: file.chmod(0o644), 2, "database.readable"),
        (lambda file: file.unlink(), 2, "secret.source"),
        (lambda file: file.write_text(f"pass word={PASSWORD}"), 2, "database.string"),
        (lambda file: file.write_text(f"host=/nowhere dbname=x user=x password={PASSWORD}"), 6, "store.unavailable"),
    ],
    ids=["readable", "missing", "malformed", "down"],
)
def test_a_wrong_database_is_named_and_not_repeated(
    prepare: Callable[[Path], object], status: int, code: str, file: Path, tmp_path: Path
) -> None:
    prepare(file)
    refused = run(tmp_path, "token.list", "--database", f"file:{file}")
    assert refused.returncode == status, refused.stderr
    assert f"Error ({code})" in refused.stderr
    assert PASSWORD not in refused.stdout + refused.stderr


def test_the_string_itself_is_no_source(tmp_path: Path) -> None:
    refused = run(tmp_path, "token.list", "--database", f"host=x password={PASSWORD}")
    assert refused.returncode == 2
    assert "Error (secret.source)" in refused.stderr
    assert PASSWORD not in refused.stderr


def test_without_the_extra_it_says_what_to_install(file: Path, tmp_path: Path) -> None:
    without = f"import sys; sys.modules['psycopg'] = None; {PROGRAM}"
    words = [sys.executable, "-c", without, "token.list", "--database", f"file:{file}"]
    refused = subprocess.run(
        words, capture_output=True, text=True, timeout=120, cwd=ROOT, env=environment(tmp_path), check=False
    )
    assert refused.returncode == 2
    assert "Error (database.extra)" in refused.stderr
    assert "support-tunnel[postgres]" in refused.stderr


def test_a_secret_is_not_in_what_python_prints() -> None:
    from support_tunnel.api.postgres_link import Database

    assert PASSWORD not in repr(Database(Secret(f"host=x password={PASSWORD}")))
