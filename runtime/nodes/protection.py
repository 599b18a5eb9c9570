"""What `protect` asks at the end of a stage: of the rate that an earlier model had, at most so many points are lost.

The change is counted from where protection began and not from the stage before, so that small losses cannot add up
unseen. A loss that is greater for sure stops the run, and is told where the weights lie that had not lost anything; one
that may be greater is said, and the run goes on: what a few prompts cannot show is no reason to stop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, InvariantBroken
from ptc.runtime.intervals import RATE_DIFFERENCE, Reals, interval
from ptc.runtime.nodes.verdicts import Result, Verdict, points, with_reach
from ptc.runtime.remedies import JUDGED
from ptc.runtime.tables import COUNTS_FILE, column, read_table


def protection(node: Node, inputs: Mapping[str, Artifact]) -> tuple[Verdict, int]:
    """The verdict, and over how many prompts. Raises `InvariantBroken` where more was lost than may be."""
    before, now = _paired(*(read_table(inputs[name].path / COUNTS_FILE) for name in ("before", "counts")))
    change, limit = interval(RATE_DIFFERENCE, before, now), float(node.settings["limit"])
    words = f"changed by {points(change)} over {len(now)} prompts"
    if change.high < limit:
        path = inputs["model"].path
        raise InvariantBroken(
            f'{node.label or node.settings["text"]}: {words}; to go back: local.model("{path}") is what it is '
            "counted from; to go on: replay what was lost, fewer steps, or more points"
        )
    result: Result = "supported" if change.low >= limit else "undecided"
    words = with_reach(words, result, f"{100 * change.half_width:.1f} points", len(now))
    numbers = {"before": float(before.mean()), "value": change.value, "limit": limit}
    return Verdict(result, words, numbers, {"change": change}), len(now)


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
