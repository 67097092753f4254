"""The measures of clouds end what they make on a cloud of its own process, and count what they say."""

from __future__ import annotations

import pytest

from bench import clouds
from bench.result import table


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clouds, "PAGES", {"hetzner": 50})
    monkeypatch.setattr(clouds, "EACH", 3)


def test_the_layer_is_measured_beside_the_driver_alone() -> None:
    result = clouds.measure_layer(2)
    assert [len(series.samples) for series in result.series] == [2, 2, 2]
    assert "promised" in table(result)


def test_a_sweep_is_measured_only_when_all_were_there_and_none_is() -> None:
    swept, requests = clouds.measure_sweep(1).series
    assert swept.label.startswith("3 servers")
    assert requests.samples[0] > 6


def test_a_sweep_that_leaves_one_is_no_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.clouds.end_due", lambda *_: iter(()))
    with pytest.raises(RuntimeError, match="not ended"):
        clouds.measure_sweep(1)
