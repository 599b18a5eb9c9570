"""A stage's guards at work: they are told of each step, and say when one is not kept any more.

What they know is in the checkpoint, so that a resumed stage is watched as if it had never stopped.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ptc.compiler.graph import Guard, Json
from ptc.runtime.monitors.remedies import REMEDIES
from ptc.runtime.monitors.rows import Row
from ptc.runtime.monitors.series import SERIES, read

FILE = "monitors.json"
KEEPS: Mapping[str, Callable[[float, float], bool]] = {
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
}
BROKEN: Mapping[str, str] = {"ge": "<", "gt": "<=", "le": ">", "lt": ">="}
"""How what is measured stands to a limit that is not kept."""


@dataclass(frozen=True)
class Firing:
    """A limit that is not kept since this step."""

    guard: Guard
    step: int
    value: float

    @property
    def words(self) -> str:
        """``kl 0.41 > 0.2 at step 140, median of 10 steps``"""
        of = f", median of {self.guard.over} steps" if self.guard.over > 1 else ""
        return (
            f"{named(self.guard)} {self.value:.3g} {BROKEN[self.guard.op]} {self.guard.limit:g} at step {self.step}{of}"
        )

    @property
    def remedy(self) -> str:
        return REMEDIES[self.guard.measure]

    @property
    def row(self) -> dict[str, Json]:
        """For ``metrics.jsonl``."""
        guard = self.guard
        return {
            "event": "monitor",
            "monitor": guard.monitor,
            "measure": named(guard),
            "step": self.step,
            "value": self.value,
            "op": guard.op,
            "limit": guard.limit,
            "over": guard.over,
            "level": "stop" if guard.stops else "warning",
            "words": f"{self.words}: {self.remedy}",
        }


class Monitors:
    """The guards of one stage, and what they have seen."""

    def __init__(self, guards: Sequence[Guard] = ()) -> None:
        self._guards = tuple(guards)
        self._rows: list[Row] = []
        self._windows: dict[Guard, list[float | None]] = {}
        """Of each guard that has been answered once, what the last steps say; no longer than it compares."""
        self._broken: set[Guard] = set()

    def see(self, step: int, metrics: Mapping[str, float]) -> list[Firing]:
        """Takes in the metrics of a step; which limits have been kept up to it, and are not now."""
        if not self._guards:
            return []
        self._rows.append(read(metrics))
        return [firing for guard in self._guards if (firing := self._firing(guard, step)) is not None]

    def _firing(self, guard: Guard, step: int) -> Firing | None:
        value = self._measured(guard)
        if value is None:
            return None
        if KEEPS[guard.op](value, guard.limit):
            self._broken.discard(guard)
            return None
        if guard in self._broken:
            return None
        self._broken.add(guard)
        return Firing(guard, step, value)

    def _measured(self, guard: Guard) -> float | None:
        """The median over the last steps of a guard; None before it has been answered for so many steps."""
        window = answered(guard, self._rows, len(self._rows), self._windows.get(guard, []))
        if window:
            self._windows[guard] = window
        return compared(guard, window)

    def asks(self, measure: str) -> bool:
        """Whether a guard is about it."""
        return any(guard.measure == measure for guard in self._guards)

    def never_asked(self) -> Iterator[Guard]:
        """Guards of the program that were not answered for as many steps as they compare."""
        yield from (guard for guard in self._guards if guard.stops and len(self._windows.get(guard, ())) < guard.over)

    def save(self, folder: Path) -> None:
        """Writes down what was seen."""
        if self._guards:
            windows = {_key(guard): window for guard, window in self._windows.items()}
            document = {"windows": windows, "broken": [_key(guard) for guard in self._broken], "rows": self._rows}
            (folder / FILE).write_text(json.dumps(document))

    def load(self, folder: Path) -> None:
        """Takes it up again. A guard that is new, or stood otherwise then, begins with the next step."""
        if not self._guards or not (folder / FILE).exists():
            return
        document = json.loads((folder / FILE).read_text())
        self._rows, windows = document["rows"], document["windows"]
        self._windows = {guard: windows[_key(guard)] for guard in self._guards if _key(guard) in windows}
        self._broken = {guard for guard in self._guards if _key(guard) in document["broken"]}


def answered(guard: Guard, rows: Sequence[Row], end: int, window: list[float | None]) -> list[float | None]:
    """The window of a guard after one more row; it begins with the first that says anything."""
    value = SERIES[guard.measure](rows, end, guard.about)
    return [*window, value][-guard.over :] if window or value is not None else []


def compared(guard: Guard, window: Sequence[float | None]) -> float | None:
    """The median over a window; None as long as it is shorter than it is to be, or where none says anything."""
    known = [value for value in window if value is not None]
    return median(known) if known and len(window) == guard.over else None


def named(guard: Guard) -> str:
    """``kl``, ``memorisation(skill)``, ``skill``."""
    if guard.measure == "eval":
        return guard.about
    return f"{guard.measure}({guard.about})" if guard.about else guard.measure


def _key(guard: Guard) -> str:
    return f"{named(guard)} {guard.op} {guard.limit!r} over {guard.over}" + (" stops" if guard.stops else "")
