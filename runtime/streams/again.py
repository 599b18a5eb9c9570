"""Streams that draw again: in place of prompts of which nothing is left, or what was drawn for earlier steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from ptc.runtime.sampling import seed_of
from ptc.runtime.streams.drawing import UNIT, Drawing, Stream, Upon, combined, moved, whole
from ptc.runtime.tables import column, with_columns

DRAWN = "$drawn"
"""Column of rows that may be learned from again: the step for which they were drawn."""


class Refilled(Upon):
    """Draws again in place of prompts of which nothing is left, `most` times at most."""

    def __init__(self, stream: Stream, most: int, seed: int) -> None:
        self.stream = stream
        self._most = most
        self._seed = seed

    def draw(self, step: int, units: Sequence[int]) -> Drawing:
        drawn = [self.stream.draw(step, units)]
        missing = _missing(drawn[0].rows, range(len(units)))
        waiting = self._others(step, units)
        for _ in range(self._most):
            if not missing or not waiting:
                break
            some, waiting = waiting[: len(missing)], waiting[len(missing) :]
            found = moved(self.stream.draw(step, some), missing[: len(some)])
            missing = _missing(found.rows, missing)
            drawn.append(found)
        whole = combined(drawn)
        counted = {"refill/draws": float(len(drawn) - 1), "refill/missing": float(len(missing))}
        return replace(whole, counted={**whole.counted, **counted})

    def _others(self, step: int, units: Sequence[int]) -> list[int]:
        order = np.random.default_rng(seed_of(self._seed, "refill", step)).permutation(self.stream.size).tolist()
        taken = set(units)
        return [unit for unit in order if unit not in taken]


class Replayed(Upon):
    """A share of each draw is rows of the last steps, as they were: with the log-probabilities of whoever wrote them.

    They take the place of the last units that are asked for.
    """

    def __init__(self, stream: Stream, window: int, share: float, seed: int) -> None:
        self.stream = stream
        self._window = window
        self._share = share
        self._seed = seed
        self.kept: pa.Table | None = None
        """The fresh rows of the last steps, with `DRAWN`."""

    def draw(self, step: int, units: Sequence[int]) -> Drawing:
        again = self._again(step, round(self._share * len(units)))
        fresh = self.stream.draw(step, units[: len(units) - len(again)])
        self._keep(fresh.rows, step)
        if not again:
            return fresh
        first = len(units) - len(again)
        parts = [fresh, *(_renumbered(rows, first + number) for number, rows in enumerate(again))]
        ages = [step - column(rows, DRAWN)[0] for rows in again]
        counted = {"replay/share": len(again) / len(units), "replay/age": float(np.mean(ages))}
        whole = combined(parts)
        return replace(whole, counted={**whole.counted, **counted})

    def _again(self, step: int, count: int) -> list[pa.Table]:
        """At most `count` prompts of the window with all their rows."""
        if self.kept is None:
            return []
        places: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row, key in enumerate(zip(column(self.kept, DRAWN), column(self.kept, UNIT), strict=True)):
            if step - self._window <= key[0] < step:
                places[key].append(row)
        keys = sorted(places)
        order = np.random.default_rng(seed_of(self._seed, "replay", step)).permutation(len(keys)).tolist()
        return [self.kept.take(pa.array(places[keys[number]])) for number in order[:count]]

    def _keep(self, rows: pa.Table, step: int) -> None:
        fresh = with_columns(rows, {DRAWN: pa.array([step] * rows.num_rows, pa.int64())})
        if self.kept is None:
            self.kept = fresh
            return
        drawn = column(self.kept, DRAWN)
        still = [step - self._window <= one < step for one in drawn]
        self.kept = pa.concat_tables(
            [self.kept.filter(pa.array(still, pa.bool_())), fresh], promote_options="permissive"
        ).combine_chunks()


def _missing(rows: pa.Table, wanted: Sequence[int]) -> list[int]:
    present = set(column(rows, UNIT))
    return [unit for unit in wanted if unit not in present]


def _renumbered(rows: pa.Table, unit: int) -> Drawing:
    return Drawing(with_columns(rows, {UNIT: whole([unit] * rows.num_rows)}))
