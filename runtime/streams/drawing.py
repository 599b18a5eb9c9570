"""Rows that are made while a stage runs: prompts are drawn, sampled, scored and filtered for each step.

A stream has units, prompts with all that belongs to them, and gives the rows of some of them for a step. Streams stand
upon one another as the steps of a flow do. What they draw depends on (seed, purpose, step, prompt, attempt) and on the
weights; a `replay` also on what was drawn before, which a checkpoint holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, Self

import pyarrow as pa

from ptc.runtime.joining import together
from ptc.runtime.rendering.conversations import prompt_text
from ptc.runtime.rendering.tables import records
from ptc.runtime.rewards import Worth
from ptc.runtime.samples import by_prompt
from ptc.runtime.tables import column, with_columns

UNIT = "$unit"
"""Column that numbers the units of a draw, so that a prompt whose attempts are all filtered out still counts."""


@dataclass(frozen=True)
class Drawing:
    """The rows of some units, in the column `UNIT` numbered as they were asked for; and what came about on the way."""

    rows: pa.Table
    sampled: tuple[pa.Table, ...] = ()
    """All completions, whatever became of them."""
    judged: tuple[tuple[pa.Table, Worth], ...] = ()
    """All rows that were scored, with what they are worth."""
    counted: Mapping[str, float] = field(default_factory=dict)

    def with_rows(self, rows: pa.Table) -> Drawing:
        return replace(self, rows=rows)


class Stream(Protocol):
    """Rows by units."""

    @property
    def size(self) -> int:
        """How many units there are."""

    @property
    def origin(self) -> Stream:
        """Where its units come from: streams of one origin draw the same."""

    @property
    def prompts(self) -> list[str]:
        """What each unit asks."""

    @property
    def below(self) -> Sequence[Stream]:
        """The streams that it stands upon."""

    def draw(self, step: int, units: Sequence[int]) -> Drawing:
        """The rows of these units for the step after `step` updates."""


class Root:
    """A stream with units of its own."""

    _units: Sequence[Any]
    """For each of them what finds its rows again."""

    @property
    def size(self) -> int:
        return len(self._units)

    @property
    def origin(self) -> Self:
        return self


class Upon:
    """A stream that stands upon another, with its units."""

    stream: Stream

    @property
    def size(self) -> int:
        return self.stream.size

    @property
    def origin(self) -> Stream:
        return self.stream.origin

    @property
    def prompts(self) -> list[str]:
        return self.stream.prompts

    @property
    def below(self) -> Sequence[Stream]:
        return (self.stream,)


class Remembered(Upon):
    """A stream that several flows may ask for the same: it draws once."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._last: tuple[tuple[int, tuple[int, ...]], Drawing] | None = None

    def draw(self, step: int, units: Sequence[int]) -> Drawing:
        asked = (step, tuple(units))
        if self._last is None or self._last[0] != asked:
            self._last = (asked, self.stream.draw(step, units))
        return self._last[1]


class Standing(Root):
    """Rows that are there already. A unit is a row of prompts, or a prompt with all its responses."""

    below: Sequence[Stream] = ()

    def __init__(self, rows: pa.Table, responded: bool) -> None:
        self.rows = rows
        self.responded = responded
        self._units = by_prompt(rows) if responded else [[row] for row in range(rows.num_rows)]

    @cached_property
    def prompts(self) -> list[str]:
        asked = [prompt_text(record) or "" for record in records(self.rows)]
        return [asked[rows[0]] for rows in self._units]

    def draw(self, step: int, units: Sequence[int]) -> Drawing:
        places = [row for unit in units for row in self._units[unit]]
        numbers = [number for number, unit in enumerate(units) for _ in self._units[unit]]
        return Drawing(with_columns(self.rows.take(pa.array(places, pa.int64())), {UNIT: whole(numbers)}))


# Units ----------------------------------------------------------------------------------------------------------------


def whole(numbers: Sequence[int]) -> pa.Array:
    return pa.array(numbers, pa.int64())


def moved(drawing: Drawing, numbers: Sequence[int]) -> Drawing:
    """The drawing with its n-th unit as the `numbers[n]`-th."""
    moved = [numbers[unit] for unit in column(drawing.rows, UNIT)]
    return drawing.with_rows(with_columns(drawing.rows, {UNIT: whole(moved)}))


def combined(parts: Sequence[Drawing]) -> Drawing:
    tables = [part.rows for part in parts if part.rows.num_rows]
    return Drawing(
        together(tables) if len(tables) > 1 else tables[0] if tables else parts[0].rows,
        tuple(table for part in parts for table in part.sampled),
        tuple(pair for part in parts for pair in part.judged),
        {name: value for part in parts for name, value in part.counted.items()},
    )
