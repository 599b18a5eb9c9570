"""The node kind `claim`: whether a stage did what its head says, by measurement.

Prompts are paired: each one keeps its counts at entry and exit. A verdict is
``supported``, ``refuted`` or ``undecided``, where the interval straddles the limit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, InvariantBroken
from ptc.runtime.intervals import (
    ATTRITION,
    CHANGE_OF_RATIO,
    METHOD,
    NET_SUPPORT_CHANGE,
    NEWLY_SOLVED,
    RATE,
    RATE_DIFFERENCE,
    RATIO,
    RETENTION,
    SUPPORT_RETENTION,
    Interval,
    interval,
)
from ptc.runtime.nodes.score_claims import judge_scores
from ptc.runtime.nodes.verdicts import VERDICT_FILE, Result, Verdict, in_words, points, spelled, with_reach
from ptc.runtime.remedies import JUDGED
from ptc.runtime.statistics import Counts, Reals, Support, pass_at_k, support
from ptc.runtime.tables import COUNTS_FILE, column, read_table


@dataclass(frozen=True)
class Paired:
    """Counts of the same prompts, in the same order: `before` is the entry, or the carrier of a consolidation."""

    n_before: Counts
    before: Counts
    n_after: Counts
    after: Counts
    n_again: Counts | None = None
    again: Counts | None = None
    """A second draw at entry; none for a consolidation."""


def claim(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Writes `verdict.json`: verdict, words, numbers and their intervals."""
    role, k, tolerance = node.settings["role"], node.settings["k"], node.settings["tolerance"]
    before, after = inputs.get("carrier") or inputs["entry"], inputs["exit"]
    if "bits" in _counts(after).column_names:
        verdict = judge_bits(role, *_paired_bits(before, after), tolerance)
        prompts = _counts(after).num_rows
    elif "correct" not in _counts(after).column_names:
        verdict, prompts = judge_scores(role, _counts(before), _counts(after), tolerance)
    else:
        paired = _paired(before, after, inputs.get("again"), k)
        prompts = len(paired.after)
        verdict = JUDGES[role](paired, k, tolerance)
    if role == "consolidates":
        verdict = _with_cost(verdict, before, after)
    document: dict[str, Json] = {
        "role": role,
        "k": k,
        "tolerance": tolerance,
        "verdict": verdict.verdict,
        "words": verdict.words,
        "prompts": prompts,
        "numbers": dict(verdict.numbers),
        "intervals": {name: asdict(interval) for name, interval in verdict.intervals.items()},
        "method": f"{METHOD}; one training run: the variance of training is not covered",
    }
    context.log({"verdict": verdict.verdict, "words": verdict.words})
    (out / VERDICT_FILE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def judge_expansion(paired: Paired, k: int, tolerance: float) -> Verdict:
    """`expands`: NSCR_k is above 0, and the exit solves more prompts that were not solved at entry than a second draw
    at entry does.

    Choosing prompts by no success in one draw and comparing with that same draw overstates what is new: the second draw
    takes away what comes by chance.
    """
    figures = _Figures.of(paired, k)
    net, new = figures.intervals["NSCR"], figures.intervals["newly solved"]
    result = _result((net, 0.0), (new, 0.0))
    measured = "expand" if result == "supported" else figures.measured
    confirmed = figures.numbers["confirmed new"]
    lost = figures.intervals["attrition"].low > tolerance
    words = in_words("expand", measured, lost, f"NSCR {spelled(net)}, {confirmed} prompts newly solved")
    words = with_reach(words, result, f"{net.half_width:.3f}", len(paired.after))
    return Verdict(result, words, figures.numbers, figures.intervals)


def judge_reshaping(paired: Paired, k: int, tolerance: float) -> Verdict:
    """`reshapes`: pass@1 rises. It is refuted where more than `tolerance` of what was solved at k is lost for sure.

    A prompt solved once in n samples at entry is missed by the next n of the same weights about every other time; the
    second draw at entry says how much of that there is.
    """
    figures = _Figures.of(paired, k)
    rise, attrition = figures.intervals["Δpass@1"], figures.intervals["attrition"]
    lost = attrition.low > tolerance
    result: Result = "refuted" if lost else _result((rise, 0.0))
    words = in_words("reshape", figures.measured, lost, f"Δpass@1 {points(rise)}, SRR {figures.support.retention:.3f}")
    words = with_reach(words, result, f"{100 * rise.half_width:.1f} points", len(paired.after))
    return Verdict(result, words, figures.numbers, figures.intervals)


def judge_consolidation(paired: Paired, k: int, tolerance: float) -> Verdict:
    """`consolidates`: of the carrier's pass@1 at least 1 - `tolerance` is retained (chance level 0)."""
    before = pass_at_k(paired.n_before, paired.before, 1)
    after = pass_at_k(paired.n_after, paired.after, 1)
    figures = _Figures.of(paired, k)
    retained = interval(RETENTION, before, after)
    result = _result((retained, 1 - tolerance))
    measured = {"supported": "consolidate", "refuted": "loss", "undecided": "neither for sure"}[result]
    words = in_words("consolidate", measured, False, f"retention {spelled(retained)} of the carrier's pass@1")
    words = with_reach(words, result, f"{retained.half_width:.3f}", len(paired.after))
    return Verdict(result, words, figures.numbers, {"retention": retained, **figures.intervals})


def _result(*conditions: tuple[Interval, float]) -> Result:
    """Supported where all intervals lie above their limits, refuted where one lies below."""
    if all(interval.low > limit for interval, limit in conditions):
        return "supported"
    return "refuted" if any(interval.high <= limit for interval, limit in conditions) else "undecided"


JUDGES = {"expands": judge_expansion, "reshapes": judge_reshaping, "consolidates": judge_consolidation}


def judge_bits(role: str, before: Reals, after: Reals, characters: Reals, tolerance: float) -> Verdict:
    """Claims on bits per character: bits of each row before and after, and its characters; arrays [rows].

    `expands` and `reshapes` ask for fewer bits at exit: the texts became likelier. `consolidates` asks for at most
    1 / (1 - `tolerance`) times the carrier's.
    """
    change = interval(CHANGE_OF_RATIO, before, after, characters)
    kept = interval(RATIO, before, after)
    numbers: dict[str, Json] = {
        "before": float(before.sum() / characters.sum()),
        "after": float(after.sum() / characters.sum()),
    }
    low, high, limit = (-change.high, -change.low, 0.0)
    if role == "consolidates":
        low, high, limit = kept.low, kept.high, 1 - tolerance
    result: Result = "supported" if low > limit else "refuted" if high < limit else "undecided"
    measured = "fewer bits" if change.high < 0 else "more bits" if change.low > 0 else "no measurable change"
    words = in_words(role.removesuffix("s"), measured, False, f"{spelled(change)} bits per character")
    reach = kept if role == "consolidates" else change
    words = with_reach(words, result, f"{reach.half_width:.3f}", len(before))
    return Verdict(result, words, numbers, {"Δbits per character": change, "retention": kept})


@dataclass(frozen=True)
class _Figures:
    """What every claim reports: pass@1 and pass@k before and after, and the dynamics of support."""

    numbers: Mapping[str, Json]
    intervals: Mapping[str, Interval]
    support: Support
    measured: str

    @staticmethod
    def of(paired: Paired, k: int) -> _Figures:
        ones = pass_at_k(paired.n_before, paired.before, 1), pass_at_k(paired.n_after, paired.after, 1)
        ks = pass_at_k(paired.n_before, paired.before, k), pass_at_k(paired.n_after, paired.after, k)
        moved, gain = support(*ks), ones[1] - ones[0]
        numbers: dict[str, Json] = {
            "pass@1 before": float(ones[0].mean()),
            "pass@1 after": float(ones[1].mean()),
            f"pass@{k} before": float(ks[0].mean()),
            f"pass@{k} after": float(ks[1].mean()),
            "kept": moved.kept,
            "gained": moved.gained,
            "lost": moved.lost,
            "NDR": moved.discovery,
            "SDS": moved.dynamic,
            "share of Δpass@1 from prompts solved at entry": _share(
                float(gain[paired.before > 0].sum()), float(gain.sum())
            ),
        }
        intervals = {
            "Δpass@1": interval(RATE_DIFFERENCE, *ones),
            f"Δpass@{k}": interval(RATE_DIFFERENCE, *ks),
            "NSCR": interval(NET_SUPPORT_CHANGE, *ks),
            "SRR": interval(SUPPORT_RETENTION, *ks),
            "pass@1 after": interval(RATE, ones[1]),
        }
        if paired.n_again is not None and paired.again is not None:
            second = pass_at_k(paired.n_again, paired.again, k)
            chance = support(ks[0], second)
            unsolved = (paired.before == 0) & (paired.again == 0)
            numbers |= {
                "unsolved in both entry draws": int(unsolved.sum()),
                "confirmed new": int(np.sum(unsolved & (paired.after > 0))),
                "gained by chance": chance.gained,
                "lost by chance": chance.lost,
            }
            intervals |= {
                # The second draw chooses the prompts: entry and exit draw from the same seeds, and what fails in the
                # one by chance fails in the other as well.
                "newly solved": interval(NEWLY_SOLVED, second, *ks),
                "attrition": interval(ATTRITION, second, *ks),
            }
        rise = intervals["Δpass@1"]
        measured = "reshape" if rise.low > 0 else "decline" if rise.high < 0 else "no measurable change"
        return _Figures(numbers, intervals, moved, measured)


def _counts(artifact: Artifact) -> pa.Table:
    return read_table(artifact.path / COUNTS_FILE)


def _paired(before: Artifact, after: Artifact, again: Artifact | None, k: int) -> Paired:
    """Prompts with at least k judged samples in each measurement, in the order of the exit's table."""
    tables = [_by_prompt(artifact) for artifact in (before, after, again) if artifact is not None]
    if any(table.keys() != tables[0].keys() for table in tables):
        raise InvariantBroken(
            "a claim compares measurements of different prompts: run again; if it stays so, it is a bug in ptc"
        )
    shared = [prompt for prompt in tables[1] if all(table[prompt][0] >= k for table in tables)]
    if not shared:
        raise InvariantBroken(f"a claim needs prompts with {k} judged samples, and there are none: {JUDGED}")
    columns = [np.array([table[prompt] for prompt in shared], dtype=np.int64).T for table in tables]
    return Paired(*(each for column in columns for each in column))


def _by_prompt(artifact: Artifact) -> dict[str, tuple[int, int]]:
    counts = _counts(artifact)
    rows = zip(*(column(counts, name) for name in ("prompt_id", "n", "correct")), strict=True)
    return {prompt: (n, correct) for prompt, n, correct in rows}


def _paired_bits(before: Artifact, after: Artifact) -> tuple[Reals, Reals, Reals]:
    """Bits before and after, and characters, of the rows that both models could read whole."""
    first, second = _counts(before), _counts(after)
    columns = [np.array(column(table, name)) for table in (first, second) for name in ("bits", "characters")]
    both = (columns[1] == columns[3]) & (columns[1] > 0)
    return columns[0][both], columns[2][both], columns[1][both].astype(np.float64)


def _with_cost(verdict: Verdict, before: Artifact, after: Artifact) -> Verdict:
    """The verdict with the sizes of carrier and result, and their ratio."""
    sizes = [_summary(artifact)["parameters"] for artifact in (before, after)]
    ratio = sizes[1] / sizes[0]
    numbers = {**verdict.numbers, "parameters before": sizes[0], "parameters after": sizes[1], "cost ratio": ratio}
    words = verdict.words + (f", at {ratio:.0%} of the parameters" if ratio != 1 else "")
    return Verdict(verdict.verdict, words, numbers, verdict.intervals)


def _summary(artifact: Artifact) -> dict[str, Json]:
    document: dict[str, Json] = json.loads((artifact.path / "summary.json").read_text(encoding="utf-8"))
    return document


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
