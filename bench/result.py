"""What a measure found: samples, and the ratios that are the point. Ratios come first because seconds name a machine."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Ratio", "Result", "Series", "paired", "report", "table"]


@dataclass(frozen=True, slots=True)
class Series:
    """One thing measured one or more times."""

    label: str
    unit: str
    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


@dataclass(frozen=True, slots=True)
class Ratio:
    """`value` is the median over pairs that were measured one right after the other."""

    label: str
    value: float
    target: str = ""
    """What the project promises, `<= 1.2`; empty where it promises nothing."""


@dataclass(frozen=True, slots=True)
class Result:
    measure: str
    ratios: tuple[Ratio, ...]
    series: tuple[Series, ...]
    notes: tuple[str, ...] = ()


def paired(label: str, pairs: Iterable[tuple[float, float]], target: str = "") -> Ratio:
    """Divide pair by pair: what else the machine did meanwhile hit both halves of a pair."""
    return Ratio(label, statistics.median(one / other for one, other in pairs), target)


def report(result: Result) -> dict[str, object]:
    """The same as data, for the JSON file."""
    return {
        "ratios": {ratio.label: {"value": round(ratio.value, 4), "target": ratio.target} for ratio in result.ratios},
        "series": {
            series.label: {
                "unit": series.unit,
                "median": round(series.median, 6),
                "samples": [round(sample, 6) for sample in series.samples],
            }
            for series in result.series
        },
        "notes": list(result.notes),
    }


def table(result: Result) -> str:
    """Two tables in Markdown, so that a run can be pasted into docs/bench.md."""
    lines = [f"## {result.measure}", ""]
    if result.ratios:
        rows = [(ratio.label, f"{ratio.value:.3g}", ratio.target) for ratio in result.ratios]
        lines += [*_markdown(("ratio", "value", "target"), rows), ""]
    rows_of_series = [
        (
            f"{series.label}, {series.unit}",
            *(f"{value:.3g}" for value in (min(series.samples), series.median, max(series.samples))),
            str(len(series.samples)),
        )
        for series in result.series
    ]
    lines += [*_markdown(("measured", "min", "median", "max", "runs"), rows_of_series), ""]
    lines += [f"{note}" for note in result.notes]
    return "\n".join(lines).rstrip() + "\n"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return [line(head), line(["-" * width for width in widths]), *(line(row) for row in rows)]
