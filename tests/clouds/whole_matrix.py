"""Every trouble at every request of every verb on every cloud, with a kill at each request from there on (test_fault_matrix.py says more).

It takes hours, so `./test` does not run it:

    .venv/bin/python -m pytest -p no:cacheprovider tests/clouds/whole_matrix.py -k "hetzner or ec2"
"""

from __future__ import annotations

from itertools import count

import pytest

from tests.clouds.test_fault_matrix import DEEDS, played
from tests.clouds.trial import KILLED, KINDS, Deed, Ground, Story, killed_at_each, troubled

__all__ = ["played"]

pytestmark = pytest.mark.timeout(0)


@pytest.mark.parametrize("kind", ["", *KINDS])
@pytest.mark.parametrize("deed", DEEDS)
def test_every_pair(played: Ground, deed: Deed, kind: str) -> None:
    wrong, trials = [], 0
    for first in count(1):
        pairs = list(killed_at_each(played, troubled(Story(deed), kind, first, 1), first))
        trials += len(pairs)
        wrong += [f"{story}: {done.wrong}" for story, done in pairs if done.wrong]
        at_requests = kind and not kind.startswith("clock")
        if not at_requests or all(done.ended != KILLED for _, done in pairs):
            break
    print(f"{played.name}, {deed}, {kind}: {trials} trials")  # noqa: T201 - who waits for hours wants to see
    assert wrong == []
