"""Claims on mean scores: a `reward`, which has no bound, and a `win_rate`. Without k and support, a rise is a rise.

`consolidates` asks a win rate to keep 1 - tolerance of itself. A reward has no zero that means anything: it may fall by
`tolerance` of the carrier's spread over prompts.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import InvariantBroken
from ptc.runtime.intervals import (
    DIFFERENCE,
    MEAN,
    RATE,
    RATE_DIFFERENCE,
    RETENTION,
    Interval,
    Reals,
    in_spreads,
    interval,
)
from ptc.runtime.nodes.verdicts import Result, Verdict, in_words, spelled, with_reach
from ptc.runtime.remedies import JUDGED
from ptc.runtime.tables import column


def judge_scores(role: str, before: pa.Table, after: pa.Table, tolerance: float) -> tuple[Verdict, int]:
    """The verdict on a claim, and over how many prompts: those with a score in both tables."""
    wins = "won" in after.column_names
    first, second = _paired(before, after)
    one, two = (RATE, RATE_DIFFERENCE) if wins else (MEAN, DIFFERENCE)
    change = interval(two, first, second)
    numbers: dict[str, Json] = {"before": float(first.mean()), "after": float(second.mean())}
    name = "Δwin rate" if wins else "Δreward"
    intervals = {name: change, "after": interval(one, second)}
    measured = "a rise" if change.low > 0 else "a fall" if change.high < 0 else "no measurable change"
    if role != "consolidates":
        words = in_words(role.removesuffix("s"), measured, False, f"{name} {spelled(change)}")
        words = with_reach(words, _result(change, 0.0), f"{change.half_width:.3f}", len(first))
        return Verdict(_result(change, 0.0), words, numbers, intervals), len(first)
    if wins and first.mean() > 0:
        kept, limit = interval(RETENTION, first, second), 1 - tolerance
        figures = f"retention {spelled(kept)} of the carrier's win rate"
    else:
        kept, limit = interval(MEAN, in_spreads(first, second)), -tolerance
        figures = f"{name} {spelled(kept)} of the carrier's spread over prompts"
    words = in_words("consolidate", measured, False, figures)
    words = with_reach(words, _result(kept, limit), f"{kept.half_width:.3f}", len(first))
    return Verdict(_result(kept, limit), words, numbers, {"retention": kept, **intervals}), len(first)


def _result(interval: Interval, limit: float) -> Result:
    return "supported" if interval.low > limit else "refuted" if interval.high <= limit else "undecided"


def _paired(before: pa.Table, after: pa.Table) -> tuple[Reals, Reals]:
    tables = [dict(zip(column(each, "prompt_id"), column(each, "mean_score"), strict=True)) for each in (before, after)]
    if tables[0].keys() != tables[1].keys():
        raise InvariantBroken(
            "a claim compares measurements of different prompts: run again; if it stays so, it is a bug in ptc"
        )
    shared = [prompt for prompt in tables[1] if all(table[prompt] is not None for table in tables)]
    if not shared:
        raise InvariantBroken(f"a claim needs prompts that could be judged, and there are none: {JUDGED}")
    first, second = (np.array([table[prompt] for prompt in shared], dtype=np.float64) for table in tables)
    return first, second
