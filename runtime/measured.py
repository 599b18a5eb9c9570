"""What counts say of one model, and of the same prompts at two models: the same for gates, ledgers and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from ptc.runtime.artifacts import Artifact, InvariantBroken
from ptc.runtime.intervals import (
    CHANGE_OF_RATIO,
    DIFFERENCE,
    MEAN,
    RATE,
    RATE_DIFFERENCE,
    RATIO,
    Interval,
    Reals,
    interval,
)
from ptc.runtime.remedies import JUDGED
from ptc.runtime.statistics import Counts, pass_at_k, powers_of_two
from ptc.runtime.tables import COUNTS_FILE, column, read_table


@dataclass(frozen=True)
class Measured:
    """The counts of one eval of one model, prompt by prompt."""

    counts: pa.Table

    @staticmethod
    def of(artifact: Artifact) -> Measured:
        return Measured(read_table(artifact.path / COUNTS_FILE))

    @property
    def kind(self) -> str:
        """The kind of eval that these counts are of, by its columns."""
        for name, kind in (("bits", "bits_per_character"), ("won", "win_rate"), ("correct", "pass_rate")):
            if name in self.counts.column_names:
                return kind
        return "reward"

    @cached_property
    def sizes(self) -> Reals:
        """How much of each prompt was measured: its characters, or 1 where something could be judged and 0 where
        nothing could; shape [prompts], as all that follow."""
        if self.kind == "bits_per_character":
            return np.array(column(self.counts, "characters"), dtype=np.float64)
        return np.minimum(self.attempts, 1).astype(np.float64)

    @cached_property
    def values(self) -> Reals:
        """Of each prompt its bits, its share of right or of won attempts, or its mean score; 0 where `sizes` is."""
        if self.kind == "bits_per_character":
            return np.array(column(self.counts, "bits"), dtype=np.float64)
        if self.kind == "pass_rate":
            return np.asarray(self.right / np.maximum(self.attempts, 1), dtype=np.float64)
        return np.array([score or 0.0 for score in column(self.counts, "mean_score")], dtype=np.float64)

    @cached_property
    def attempts(self) -> Counts:
        """Attempts that could be judged."""
        return np.array(column(self.counts, "n"), dtype=np.int64)

    @cached_property
    def right(self) -> Counts:
        """Of a pass rate: attempts that are right."""
        return np.array(column(self.counts, "correct"), dtype=np.int64)

    @cached_property
    def prompts(self) -> list[object]:
        """What tells prompts apart: texts without a prompt go by their place."""
        return [place if name is None else name for place, name in enumerate(column(self.counts, "prompt_id"))]

    def value(self) -> tuple[Interval, int]:
        """pass@1, a win rate, a mean score or bits per character, and over how many prompts.

        Raises `InvariantBroken` where none could be judged.
        """
        measured = self.sizes > 0
        if not measured.any():
            raise InvariantBroken(f"an eval needs prompts that could be judged, and there are none: {JUDGED}")
        values, sizes = self.values[measured], self.sizes[measured]
        match self.kind:
            case "bits_per_character":
                found = interval(RATIO, values, sizes)
            case "reward":
                found = interval(MEAN, values)
            case _:
                found = interval(RATE, values)
        return found, len(values)

    def curve(self, samples: int) -> dict[int, float]:
        """pass@k at the powers of two up to so many samples, over the prompts that were judged so often."""
        ks = powers_of_two(samples) if self.kind == "pass_rate" else []
        enough = {k: self.attempts >= k for k in ks}
        return {
            k: float(pass_at_k(self.attempts[those], self.right[those], k).mean())
            for k, those in enough.items()
            if those.any()
        }


@dataclass(frozen=True)
class Together:
    """Several measurements of the prompts that all of them have: `values[i]` are those of the i-th, [prompts]."""

    kind: str
    values: tuple[Reals, ...]
    sizes: Reals
    solved: tuple[NDBools, ...]
    """Of pass rates: whether some attempt is right."""

    @staticmethod
    def of(measurements: Sequence[Measured]) -> Together:
        places = [_places(each) for each in measurements]
        first = measurements[0]
        shared = [
            name
            for name, place in places[0].items()
            if all(name in other and measurements[which].sizes[other[name]] for which, other in enumerate(places))
            and (first.kind != "bits_per_character" or _alike(name, measurements, places))
        ]
        chosen = [np.array([own[name] for name in shared], dtype=np.int64) for own in places]
        pairs = list(zip(measurements, chosen, strict=True))
        solved = tuple(each.right[those] > 0 for each, those in pairs) if first.kind == "pass_rate" else ()
        return Together(first.kind, tuple(each.values[those] for each, those in pairs), first.sizes[chosen[0]], solved)

    def difference(self, before: int, after: int) -> Interval:
        """How far the value of one measurement is above that of another, prompt by prompt."""
        first, second = self.values[before], self.values[after]
        match self.kind:
            case "bits_per_character":
                return interval(CHANGE_OF_RATIO, first, second, self.sizes)
            case "reward":
                return interval(DIFFERENCE, first, second)
            case _:
                return interval(RATE_DIFFERENCE, first, second)


NDBools = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def _places(measured: Measured) -> dict[object, int]:
    return {name: place for place, name in enumerate(measured.prompts)}


def _alike(name: object, measurements: Sequence[Measured], places: Sequence[Mapping[object, int]]) -> bool:
    """Whether all models could read the same characters of a text."""
    return len({float(each.sizes[own[name]]) for each, own in zip(measurements, places, strict=True)}) == 1
