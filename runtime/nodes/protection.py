"""What `protect` asks at the end of a stage: of the rate that an earlier model had, at most so many points are lost.

The change is counted from where protection began and not from the stage before, so that small losses cannot add up
unseen. A loss that is greater for sure stops the run, and is told where the weights lie that had not lost anything; one
that may be greater is said, and the run goes on: what a few prompts cannot show is no reason to stop.
"""

from __future__ import annotations

from collections.abc import Mapping

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, InvariantBroken
from ptc.runtime.measured import Measured, Together
from ptc.runtime.nodes.verdicts import Result, Verdict, points, with_reach
from ptc.runtime.remedies import JUDGED


def protection(node: Node, inputs: Mapping[str, Artifact]) -> tuple[Verdict, int]:
    """The verdict, and over how many prompts. Raises `InvariantBroken` where more was lost than may be."""
    both = Together.of([Measured.of(inputs[name]) for name in ("before", "counts")])
    prompts = len(both.sizes)
    if not prompts:
        raise InvariantBroken(
            f"a protected eval needs prompts that could be judged before and after, and there are none: {JUDGED}"
        )
    change, limit = both.difference(0, 1), float(node.settings["limit"])
    words = f"changed by {points(change)} over {prompts} prompts"
    if change.high < limit:
        path = inputs["model"].path
        raise InvariantBroken(
            f'{node.label or node.settings["text"]}: {words}; to go back: local.model("{path}") is what it is '
            "counted from; to go on: replay what was lost, fewer steps, or more points"
        )
    result: Result = "supported" if change.low >= limit else "undecided"
    words = with_reach(words, result, f"{100 * change.half_width:.1f} points", prompts)
    numbers = {"before": float(both.values[0].mean()), "value": change.value, "limit": limit}
    return Verdict(result, words, numbers, {"change": change}), prompts
