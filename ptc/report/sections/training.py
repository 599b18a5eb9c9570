"""Training curves: every metric that a stage logged, and where monitors fired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ptc.report.section import Section
from ptc.runtime.history import History

POINTS = 240
"""Of a curve that are kept at most: means over as many steps as there are for each."""
APART = frozenset({"t", "node", "label", "kind", "attempt", "step", "event"})
"""What a row has besides metrics."""
FIRST = (
    "loss",
    "reward",
    "eval/",
    "entropy",
    "kl",
    "mean_token_accuracy",
    "grad_norm",
    "learning_rate",
    "completions/",
)
"""What is looked at first: names, or how they begin."""


class Series(Section):
    """One metric of one stage. A metric that never changed has one point."""

    name: str
    steps: tuple[int, ...]
    """Of more than `POINTS` steps, the last of each bin."""
    values: tuple[float | None, ...]
    """Means over the steps of a bin; None for what is no number."""
    last: float | None


class Firing(Section):
    """That a monitor fired."""

    monitor: str
    step: int
    level: str
    value: float | None
    limit: float | None
    words: str


class StageCurves(Section):
    """What one stage logged."""

    stage: str
    steps: int
    series: tuple[Series, ...]
    firings: tuple[Firing, ...]


class Training(Section):
    stages: tuple[StageCurves, ...]


def training(history: History) -> Training:
    return Training(stages=tuple(_stages(history)))


def _stages(history: History) -> Iterator[StageCurves]:
    for meaning, node in history.graph.nodes.items():
        if node.kind != "train":
            continue
        rows = history.rows(meaning)
        if rows:
            steps = [row for row in rows if "step" in row and "event" not in row]
            yield StageCurves(
                stage=node.label,
                steps=max((row["step"] for row in steps), default=0),
                series=tuple(_series(steps)),
                firings=tuple(_firings(rows)),
            )


def _series(rows: list[dict[str, Any]]) -> Iterable[Series]:
    points: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in APART and isinstance(value, int | float):
                points.setdefault(name, []).append((row["step"], float(value)))
    return [_one(name, points[name]) for name in sorted(points, key=_rank)]


def _one(name: str, points: list[tuple[int, float]]) -> Series:
    values = [value for _, value in points]
    last = _number(values[-1])
    if len(set(values)) == 1:
        return Series(name=name, steps=(points[-1][0],), values=(last,), last=last)
    size = -(-len(points) // POINTS)
    bins = [points[start : start + size] for start in range(0, len(points), size)]
    means = tuple(_number(sum(value for _, value in each) / len(each)) for each in bins)
    return Series(name=name, steps=tuple(each[-1][0] for each in bins), values=means, last=last)


def _number(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _rank(name: str) -> tuple[int, str]:
    found = (
        place for place, start in enumerate(FIRST) if name == start or (start[-1] == "/" and name.startswith(start))
    )
    return next(found, len(FIRST)), name


def _firings(rows: Iterable[Mapping[str, Any]]) -> Iterator[Firing]:
    for row in rows:
        if row.get("event") == "monitor":
            yield Firing(
                monitor=row["monitor"],
                step=row["step"],
                level=row["level"],
                value=row.get("value"),
                limit=row.get("limit"),
                words=row.get("words", ""),
            )
