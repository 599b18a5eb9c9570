"""What became of a stage's guards, from its rows: the curve that each compares, its limit, and where it fired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptc.compiler.graph import Guard, Json, Node
from ptc.runtime.monitors.monitors import answered, compared, named
from ptc.runtime.monitors.rows import Row
from ptc.runtime.monitors.series import read


@dataclass(frozen=True)
class Curve:
    """What one guard compared, step by step."""

    guard: Guard
    points: tuple[tuple[int, float], ...]
    """Steps and medians; none where the stage never measured it."""
    fired: tuple[Mapping[str, Json], ...]
    """The rows of `metrics.jsonl` that say so."""

    @property
    def name(self) -> str:
        return named(self.guard)


def curves(node: Node, rows: Iterable[Mapping[str, Json]]) -> tuple[Curve, ...]:
    """Of all guards of a `train` node; `rows` are those of its node in `metrics.jsonl`."""
    rows = list(rows)
    steps = {int(row["step"]): row for row in rows if "event" not in row and "loss" in row}
    seen = [read({name: value for name, value in row.items() if isinstance(value, int | float)})
            for row in steps.values()]  # fmt: skip
    return tuple(
        Curve(guard, tuple(_points(guard, list(steps), seen)), tuple(_fired(guard, rows))) for guard in node.guards
    )


def warnings(rows: Iterable[Mapping[str, Json]]) -> tuple[Mapping[str, Json], ...]:
    """What monitors said, each time once: what was killed between two checkpoints has told of some steps twice."""
    said = {(row["node"], row["monitor"], row["words"]): row for row in rows if row.get("event") == "monitor"}
    return tuple(said.values())


def _points(guard: Guard, steps: Sequence[int], rows: Sequence[Row]) -> Iterator[tuple[int, float]]:
    window: list[float | None] = []
    for place, step in enumerate(steps):
        window = answered(guard, rows, place + 1, window)
        value = compared(guard, window)
        if value is not None:
            yield step, value


def _fired(guard: Guard, rows: Iterable[Mapping[str, Json]]) -> Iterator[Mapping[str, Json]]:
    level = "stop" if guard.stops else "warning"
    for row in warnings(rows):
        if (row.get("measure"), row["level"], row["limit"]) == (named(guard), level, guard.limit):
            yield row
