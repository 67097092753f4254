"""What a verb costs besides its work: no search for cycles among everything that was imported, least of all at its end."""

from __future__ import annotations

import subprocess
import sys

END = """
import atexit, gc, sys
from support_tunnel.cli.boundary import boundary
atexit.register(lambda: print(gc.get_freeze_count() > 10_000, gc.isenabled()))  # registered first, so it is the last to run
class Ring:
    def __del__(self):
        print("found")
def ring():
    one = Ring()
    one.itself = one
@boundary
def verb():
    ring()
verb()
verb()
kept = [[] for _ in range(50_000)]
"""


def test_nothing_is_searched_at_the_end_and_a_long_life_is_searched_all_the_same() -> None:
    done = subprocess.run([sys.executable, "-c", END], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("found\nfound\nTrue True\n", "")
