"""The node kind `claim`: whether a stage did what its head says, by measurement.

Prompts are paired: each one's counts at entry and exit stay together when prompts are resampled. A verdict is
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
from ptc.runtime.nodes.score_claims import judge_scores
from ptc.runtime.nodes.verdicts import VERDICT_FILE, Result, Verdict, in_words, spelled
from ptc.runtime.statistics import (
    LEVEL,
    RESAMPLES,
    Counts,
    Interval,
    Reals,
    Support,
    bootstrap,
    lost_by_chance,
    mean_difference,
    mean_of,
    net_support_change,
    pass_at_k,
    ratio_of_means,
    support,
    support_retention,
)
from ptc.runtime.tables import COUNTS_FILE, column, read_table


@dataclass(frozen=True)
class Paired:
    """Counts of the same prompts, in the same order: `before` is the entry, or the carrier of a consolidation."""

    n_before: Counts
    before: Counts
    n_after: Counts
    after: Counts
    again: Counts | None = None
    """Correct ones in a second draw at entry."""


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
        "method": f"paired bootstrap over prompts, {RESAMPLES} resamples, {LEVEL:.0%}; one training run: "
        "the variance of training is not covered",
    }
    context.log({"verdict": verdict.verdict, "words": verdict.words})
    (out / VERDICT_FILE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def judge_expansion(paired: Paired, k: int, tolerance: float) -> Verdict:
    """`expands`: NSCR_k is above 0, and prompts without a success in two entry draws are solved at exit.

    Choosing prompts by no success in one draw and comparing with that same draw overstates what is new; the second draw
    confirms them, and the two entry draws against each other say how much comes and goes by chance.
    """
    assert paired.again is not None
    figures = _Figures.of(paired, k)
    unsolved = (paired.before == 0) & (paired.again == 0)
    confirmed = int(np.sum(unsolved & (paired.after > 0)))
    chance = _support(paired.n_before, paired.before, paired.n_before, paired.again, k)
    numbers = {
        **figures.numbers,
        "unsolved in both entry draws": int(unsolved.sum()),
        "confirmed new": confirmed,
        "gained by chance": chance.gained,
        "lost by chance": chance.lost,
    }
    net = figures.intervals["NSCR"]
    expanded = net.low > 0 and confirmed > 0
    solved = figures.support.kept + figures.support.lost
    lost = figures.support.lost - chance.lost > tolerance * solved
    measured = "expand" if expanded else figures.measured
    result: Result = "supported" if expanded else "refuted" if net.high <= 0 else "undecided"
    words = in_words("expand", measured, lost, f"NSCR {spelled(net)}, {confirmed} prompts newly solved")
    return Verdict(result, words, numbers, figures.intervals)


def judge_reshaping(paired: Paired, k: int, tolerance: float) -> Verdict:
    """`reshapes`: pass@1 rises, and of what was solved at k at most `tolerance` is lost beyond what chance loses.

    A prompt solved once in n samples at entry is missed by the next n of the same weights about every other time.
    """
    figures = _Figures.of(paired, k)
    rise, retention = figures.intervals["Δpass@1"], figures.intervals["SRR"]
    by_chance = lost_by_chance(paired.n_before, paired.before, k)
    chance = _share(by_chance, figures.support.kept + figures.support.lost) or 0.0
    lost = retention.value + chance < 1 - tolerance
    first_n, first = paired.n_before, paired.before
    gain = pass_at_k(paired.n_after, paired.after, 1) - pass_at_k(first_n, first, 1)
    numbers = {
        **figures.numbers,
        "lost by chance": by_chance,
        "share of Δpass@1 from prompts solved at entry": _share(float(gain[first > 0].sum()), float(gain.sum())),
    }
    result: Result = "undecided"
    if rise.low > 0 and not lost:
        result = "supported"
    elif rise.high <= 0 or retention.high + chance < 1 - tolerance:
        result = "refuted"
    words = in_words("reshape", figures.measured, lost, f"Δpass@1 {_points(rise)}, SRR {retention.value:.3f}")
    return Verdict(result, words, numbers, figures.intervals)


def judge_consolidation(paired: Paired, k: int, tolerance: float) -> Verdict:
    """`consolidates`: of the carrier's pass@1 at least 1 - `tolerance` is retained (chance level 0)."""
    before = pass_at_k(paired.n_before, paired.before, 1)
    after = pass_at_k(paired.n_after, paired.after, 1)
    figures = _Figures.of(paired, k)
    retained = bootstrap(ratio_of_means, before, after)
    result: Result = "undecided"
    if retained.low >= 1 - tolerance:
        result = "supported"
    elif retained.high < 1 - tolerance:
        result = "refuted"
    measured = {"supported": "consolidate", "refuted": "loss", "undecided": "neither for sure"}[result]
    words = in_words("consolidate", measured, False, f"retention {spelled(retained)} of the carrier's pass@1")
    return Verdict(result, words, figures.numbers, {"retention": retained, **figures.intervals})


JUDGES = {"expands": judge_expansion, "reshapes": judge_reshaping, "consolidates": judge_consolidation}


def judge_bits(role: str, before: Reals, after: Reals, characters: Reals, tolerance: float) -> Verdict:
    """Claims on bits per character: bits of each row before and after, and its characters; arrays [rows].

    `expands` and `reshapes` ask for fewer bits at exit: the texts became likelier. `consolidates` asks for at most
    1 / (1 - `tolerance`) times the carrier's.
    """
    change = bootstrap(_bits_change, before, after, characters)
    kept = bootstrap(ratio_of_means, after, before)
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
        moved = support(*ks)
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
        }
        intervals = {
            "Δpass@1": bootstrap(mean_difference, *ones),
            f"Δpass@{k}": bootstrap(mean_difference, *ks),
            "NSCR": bootstrap(net_support_change, *ks),
            "SRR": bootstrap(support_retention, *ks),
            "pass@1 after": bootstrap(mean_of, ones[1]),
        }
        rise = intervals["Δpass@1"]
        measured = "reshape" if rise.low > 0 else "decline" if rise.high < 0 else "no measurable change"
        return _Figures(numbers, intervals, moved, measured)


def _support(n_before: Counts, before: Counts, n_after: Counts, after: Counts, k: int) -> Support:
    return support(pass_at_k(n_before, before, k), pass_at_k(n_after, after, k))


def _counts(artifact: Artifact) -> pa.Table:
    return read_table(artifact.path / COUNTS_FILE)


def _paired(before: Artifact, after: Artifact, again: Artifact | None, k: int) -> Paired:
    """Prompts with at least k judged samples in each measurement, in the order of the exit's table."""
    tables = [_by_prompt(artifact) for artifact in (before, after, again) if artifact is not None]
    if any(table.keys() != tables[0].keys() for table in tables):
        raise InvariantBroken("a claim compares measurements of different prompts")
    shared = [prompt for prompt in tables[1] if all(table[prompt][0] >= k for table in tables)]
    if not shared:
        raise InvariantBroken(f"a claim needs prompts with {k} judged samples, and there are none")
    columns = [np.array([table[prompt] for prompt in shared], dtype=np.int64).T for table in tables]
    second = columns[2][1] if again is not None else None
    return Paired(columns[0][0], columns[0][1], columns[1][0], columns[1][1], second)


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


def _bits_change(before: Reals, after: Reals, characters: Reals) -> Reals:
    change: Reals = (after - before).sum(axis=-1) / characters.sum(axis=-1)
    return change


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


def _points(interval: Interval) -> str:
    """A difference of rates, in percentage points."""
    return f"{100 * interval.value:+.1f} points [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
