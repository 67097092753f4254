"""The server of these tests leaves nothing behind, also when the tests are killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.core.waiting import wait_for
from tests.api.postgres import newest_programs

HOLDS = """
import sys
from tests.api.postgres import real_postgres

with real_postgres() as server, server.connect() as db:
    (data,) = db.execute("SHOW data_directory").fetchone()
    print(server.sockets, data, db.execute("SELECT pg_backend_pid()").fetchone()[0], flush=True)
    sys.stdin.read()
"""


def test_it_goes_with_whoever_started_it() -> None:
    newest_programs()
    command = [sys.executable, "-c", HOLDS]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            sockets, data, backend = process.stdout.readline().split()
            places = [Path(sockets), Path(data).parent, Path("/proc", backend)]
            assert [place.exists() for place in places] == [True] * 3
        finally:
            process.kill()

    def gone() -> bool | None:
        return None if any(place.exists() for place in places) else True

    wait_for(gone, what="server and folders are gone", seconds=60, clock=SystemClock())
