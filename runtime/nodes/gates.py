"""The node kind `gate`: `require` before a stage, `ensure` after it, and what `protect` asks (`protection.py`).

A gate that does not hold publishes nothing and stops the run with exit code 4.
"""

from __future__ import annotations

import json
import operator
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, InputWrong, InvariantBroken
from ptc.runtime.intervals import MEAN, RATE, Interval, interval
from ptc.runtime.measured import Measured
from ptc.runtime.nodes.divergence import divergences
from ptc.runtime.nodes.protection import protection
from ptc.runtime.nodes.verdicts import VERDICT_FILE, Verdict
from ptc.runtime.statistics import Reals
from ptc.runtime.tables import column, read_rows

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
}


def gate(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Writes `verdict.json` if the gate holds. Raises `InvariantBroken` with what was measured if it does not."""
    settings = node.settings
    verdict, over = protection(node, inputs) if settings["measure"] == "change" else _compared(node, inputs, context)
    (found,) = verdict.intervals.values()
    context.log({"gate": node.label or settings["text"], "value": found.value, "low": found.low, "high": found.high})
    document: dict[str, Json] = {
        "role": settings["when"],
        "verdict": verdict.verdict,
        "words": verdict.words,
        "prompts": over,
        "numbers": dict(verdict.numbers),
        "intervals": {name: asdict(each) for name, each in verdict.intervals.items()},
    }
    (out / VERDICT_FILE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _compared(node: Node, inputs: Mapping[str, Artifact], context: Context) -> tuple[Verdict, int]:
    """A measured quantity against a limit: the estimate decides, the interval is printed."""
    settings = node.settings
    measured, over = _measure(settings["measure"], inputs, context)
    words = (
        f"measured {_number(measured.value)} [{_number(measured.low)}, {_number(measured.high)}] over {over} prompts"
    )
    if not COMPARISONS[settings["op"]](measured.value, settings["limit"]):
        raise InvariantBroken(f"{node.label or settings['text']}: {words}")
    numbers = {"value": measured.value, "limit": settings["limit"]}
    return Verdict("supported", f"{settings['text']}: {words}", numbers, {settings["measure"]: measured}), over


def _measure(measure: str, inputs: Mapping[str, Artifact], context: Context) -> tuple[Interval, int]:
    """The measured quantity, and over how many prompts."""
    match measure:
        case "informative_rate":
            spread = informative_groups(read_rows(inputs["rows"]))
            return interval(RATE, spread), len(spread)
        case "value":
            return Measured.of(inputs["counts"]).value()
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


def _number(value: float) -> str:
    return f"{value:.3g}"
