"""Streams that bring several sources together: mixtures, and rows that are joined to attempts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from ptc.runtime.expressions import PARTNER
from ptc.runtime.joining import joined
from ptc.runtime.sampling import seed_of
from ptc.runtime.streams.drawing import UNIT, Drawing, Root, Stream, Upon, combined, moved, whole
from ptc.runtime.tables import column, with_columns


class Mixed(Root):
    """Several streams as one: all their units, or as many of each as the weights say."""

    def __init__(self, streams: Sequence[Stream], weights: Sequence[float] | None, seed: int) -> None:
        self.below = streams
        self._units = [
            (part, unit)
            for part, count in enumerate(_shares([stream.size for stream in streams], weights))
            for unit in _chosen(streams[part].size, count, seed_of(seed, "mix", part))
        ]

    @cached_property
    def prompts(self) -> list[str]:
        asked = [stream.prompts for stream in self.below]
        return [asked[part][unit] for part, unit in self._units]

    def draw(self, step: int, units: Sequence[int]) -> Drawing:
        asked: dict[int, list[int]] = defaultdict(list)
        for number, unit in enumerate(units):
            asked[self._units[unit][0]].append(number)
        parts = [
            moved(self.below[part].draw(step, [self._units[units[number]][1] for number in numbers]), numbers)
            for part, numbers in sorted(asked.items())
        ]
        return combined(parts)


class Joined(Upon):
    """Rows that stand still, at the prompts that a partner has attempts at: they follow its batch."""

    def __init__(self, rows: pa.Table, partner: Stream, on: str) -> None:
        self.stream = partner
        self.rows = rows
        self.on = on

    def draw(self, step: int, units: Sequence[int]) -> Drawing:
        attempts = self.stream.draw(step, units).rows
        numbered = with_columns(attempts.drop_columns([UNIT]), {"unit": column(attempts, UNIT)})
        rows = joined(self.rows, numbered, self.on)
        found = [numbers[0] for numbers in column(rows, f"{PARTNER}unit")]
        return Drawing(with_columns(rows, {UNIT: whole(found)}))


def _shares(sizes: Sequence[int], weights: Sequence[float] | None) -> list[int]:
    """How many units of each part: all, or in the given shares as many as there are."""
    if weights is None:
        return list(sizes)
    pairs = list(zip(sizes, weights, strict=True))
    total = min(size / weight for size, weight in pairs if weight > 0)
    return [round(total * weight) for weight in weights]


def _chosen(size: int, count: int, seed: int) -> list[int]:
    if count == size:
        return list(range(size))
    return sorted(np.random.default_rng(seed).permutation(size)[:count].tolist())
