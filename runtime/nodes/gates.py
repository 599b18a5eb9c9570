"""The node kind `gate`: `require` before a stage, `ensure` after it.

The point estimate decides, the interval is printed. A gate that does not hold publishes nothing and stops the run with
exit code 4.
"""

from __future__ import annotations

import json
import operator
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, InputWrong, InvariantBroken
from ptc.runtime.intervals import MEAN, RATE, RATE_DIFFERENCE, RATIO, Interval, interval
from ptc.runtime.nodes.divergence import divergences
from ptc.runtime.nodes.verdicts import VERDICT_FILE
from ptc.runtime.remedies import JUDGED
from ptc.runtime.statistics import Reals, pass_at_k
from ptc.runtime.tables import COUNTS_FILE, column, read_rows, read_table

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
}


def gate(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Writes `verdict.json` if the gate holds. Raises `InvariantBroken` with what was measured if it does not."""
    settings = node.settings
    measured, over = _measure(settings["measure"], inputs, context)
    interval = f"{_number(measured.value)} [{_number(measured.low)}, {_number(measured.high)}] over {over} prompts"
    written = node.label or settings["text"]
    context.log({"gate": written, "value": measured.value, "low": measured.low, "high": measured.high})
    if not COMPARISONS[settings["op"]](measured.value, settings["limit"]):
        raise InvariantBroken(f"{written}: measured {interval}")
    document: dict[str, Json] = {
        "role": settings["when"],
        "verdict": "supported",
        "words": f"{settings['text']}: measured {interval}",
        "prompts": over,
        "numbers": {"value": measured.value, "limit": settings["limit"]},
        "intervals": {settings["measure"]: asdict(measured)},
    }
    (out / VERDICT_FILE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _measure(measure: str, inputs: Mapping[str, Artifact], context: Context) -> tuple[Interval, int]:
    """The measured quantity, and over how many prompts."""
    match measure:
        case "informative_rate":
            spread = informative_groups(read_rows(inputs["rows"]))
            return interval(RATE, spread), len(spread)
        case "value":
            return _value(read_table(inputs["counts"].path / COUNTS_FILE))
        case "change":
            before, now = _paired(*(read_table(inputs[name].path / COUNTS_FILE) for name in ("before", "counts")))
            return interval(RATE_DIFFERENCE, before, now), len(now)
        case "kl":
            found = divergences(read_rows(inputs["rows"]), inputs["model"].path, inputs["reference"].path, context)
            return interval(MEAN, found), len(found)
    raise InputWrong(f"no gate measures `{measure}`: informative_rate(…) or an eval")


def informative_groups(rows: pa.Table) -> Reals:
    """1 for each prompt whose attempts have different rewards, 0 for the others; shape [prompts].

    Their mean is the unbiased rate of informative groups at the group size that was drawn.
    """
    rewards: dict[int, set[float]] = defaultdict(set)
    for group, reward in zip(column(rows, "group"), column(rows, "reward"), strict=True):
        rewards[group] |= set() if reward is None else {reward}
    return np.array([float(len(values) > 1) for values in rewards.values()])


def _value(counts: pa.Table) -> tuple[Interval, int]:
    """pass@1 of a pass rate; bits per character; the mean of other scores."""
    if "bits" in counts.column_names:
        bits, characters = (np.array(column(counts, name), dtype=np.float64) for name in ("bits", "characters"))
        return interval(RATIO, bits, characters), counts.num_rows
    if "correct" not in counts.column_names:
        scores = np.array([score for score in column(counts, "mean_score") if score is not None], dtype=np.float64)
        if not len(scores):
            raise InvariantBroken(f"a gate needs prompts that could be judged, and there are none: {JUDGED}")
        return interval(RATE if "won" in counts.column_names else MEAN, scores), len(scores)
    n, correct = (np.array(column(counts, name), dtype=np.int64) for name in ("n", "correct"))
    judged = n >= 1
    return interval(RATE, pass_at_k(n[judged], correct[judged], 1)), int(judged.sum())


def _paired(before: pa.Table, now: pa.Table) -> tuple[Reals, Reals]:
    """The rate of each prompt that was judged both times, before and now; each of shape [prompts]."""
    earlier = dict(_rates(before))
    pairs = [(earlier[prompt], rate) for prompt, rate in _rates(now) if prompt in earlier]
    if not pairs:
        raise InvariantBroken(
            f"a protected eval needs prompts that could be judged before and after, and there are none: {JUDGED}"
        )
    first, second = np.array(pairs, dtype=np.float64).T
    return first, second


def _rates(counts: pa.Table) -> Iterator[tuple[str, float]]:
    """Each prompt that could be judged with the share of its attempts that are right, or that win."""
    right = "correct" if "correct" in counts.column_names else "won"
    for prompt, n, count in zip(*(column(counts, name) for name in ("prompt_id", "n", right)), strict=True):
        if n:
            yield prompt, count / n


def _number(value: float) -> str:
    return f"{value:.3g}"
