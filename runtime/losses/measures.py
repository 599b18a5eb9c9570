"""What can be measured of a step because its loss computes it, under TRL's names: read off the form of the expression.

| measured | where the loss holds |
|---|---|
| ``kl`` | ``exp(q) - q - 1`` with q a difference of log-probabilities, or what sampled the tokens less a model that does not learn; the mean over tokens |
| ``clip_ratio/low_mean``, ``high_mean``, ``region_mean`` | ``min(r * a, clamp(r, low, high) * a)``: how often the clipped side was taken, over tokens or over samples |
| ``rewards/chosen``, ``rejected``, ``margins``, ``accuracies`` | ``better - worse``, which read ``.chosen`` and ``.rejected``, with the factor before it |
| ``mean_reward``, ``margin``, ``accuracy`` | the same of a reward head |
| ``logps/chosen``, ``logps/rejected`` | a log-probability of the learner of those columns, summed over tokens |

Each is a mean over the tokens or samples of the global batch: a sum and a count, which add up over its parts.
"""  # noqa: E501  a table

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache

import torch

from ptc.runtime.losses.tree import SAMPLE, TOKEN, Expression, walked

SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class Measure:
    """A name, and the expression whose mean it stands for."""

    name: str
    of: Expression


@cache
def measures(roots: tuple[Expression, ...], learners: frozenset[str]) -> list[Measure]:
    """What is measured of a loss; of two of one name the one that is written first."""
    nodes = list(walked(roots))[::-1]
    found = [*_divergences(nodes, learners), *_clipped(nodes), *_compared(nodes), *_log_probabilities(nodes, learners)]
    first: dict[str, Measure] = {}
    for measure in found:
        if measure.of.layout in (TOKEN, SAMPLE):
            first.setdefault(measure.name, measure)
    return list(first.values())


@torch.no_grad()
def measured(found: Sequence[Measure], value: Callable[[Expression], torch.Tensor]) -> dict[str, tuple[float, int]]:
    """The sum and the count of each on a part of a batch."""
    values = {measure.name: value(measure.of) for measure in found}
    return {name: (float(each.sum()), len(each)) for name, each in values.items()}


def _divergences(nodes: Sequence[Expression], learners: AbstractSet[str]) -> Iterator[Measure]:
    for node in nodes:
        if node.op != "sub":
            continue
        left, right = node.args
        if _is_k3(left, right) or (_is_of_the_author(left) and right.op == "logp" and _model(right) not in learners):
            yield Measure("kl", node)


def _is_k3(left: Expression, right: Expression) -> bool:
    """``exp(q) - q - 1``."""
    if right.op != "constant" or right.value != 1 or left.op != "sub":
        return False
    power, log_ratio = left.args
    return (
        power.op == "exp"
        and power.args[0] is log_ratio
        and log_ratio.op == "sub"
        and all(arg.op == "logp" for arg in log_ratio.args)
    )


def _is_of_the_author(node: Expression) -> bool:
    """What the tokens' author said of them: the engine, or the learner as it was or stands, without gradient."""
    if node.op == "stop":
        return node.args[0].op == "logp"
    return (node.op == "column" and node.name == "logprobs") or (node.op == "logp" and not node.has_forward)


def _model(node: Expression) -> str:
    return node.asked.model if node.asked is not None else ""


def _clipped(nodes: Sequence[Expression]) -> Iterator[Measure]:
    for node in nodes:
        if node.op != "min" or len(node.args) != 2 or any(arg.op != "mul" for arg in node.args):
            continue
        for free, held in (node.args, node.args[::-1]):
            for ratio, advantage in (free.args, free.args[::-1]):
                clamped = next((arg for arg in held.args if arg is not advantage), advantage)
                if advantage in held.args and clamped.op == "clamp" and clamped.args[0] is ratio:
                    yield from _regions(ratio, advantage, clamped.args[1], clamped.args[2])


def _regions(ratio: Expression, advantage: Expression, least: Expression, most: Expression) -> Iterator[Measure]:
    nothing = _constant(0.0)
    low = _made("mul", _made("lt", ratio, least), _made("lt", advantage, nothing))
    high = _made("mul", _made("gt", ratio, most), _made("gt", advantage, nothing))
    yield Measure("clip_ratio/low_mean", low)
    yield Measure("clip_ratio/high_mean", high)
    yield Measure("clip_ratio/region_mean", _made("add", low, high))


def _compared(nodes: Sequence[Expression]) -> Iterator[Measure]:
    for node in nodes:
        if node.op != "sub" or [_columns(arg) for arg in node.args] != [{"chosen"}, {"rejected"}]:
            continue
        if node.layout != SAMPLE:
            continue
        chosen, rejected = (_scaled(arg, node, nodes) for arg in node.args)
        margin, right = _made("sub", chosen, rejected), _made("gt", chosen, rejected)
        if all(leaf.op == "score" for leaf in node.leaves if leaf.asked is not None):
            mean = _made("mul", _constant(0.5), _made("add", chosen, rejected))
            yield from map(Measure, ("mean_reward", "margin", "accuracy"), (mean, margin, right))
        else:
            names = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies")
            yield from map(Measure, names, (chosen, rejected, margin, right))


def _scaled(side: Expression, difference: Expression, nodes: Sequence[Expression]) -> Expression:
    """One side of a difference, times the number by which the difference is multiplied."""
    for node in nodes:
        if node.op == "mul" and difference in node.args:
            factor = next(arg for arg in node.args if arg is not difference)
            if not factor.axes and not factor.has_forward:
                return _made("mul", factor, side)
    return side


def _log_probabilities(nodes: Sequence[Expression], learners: AbstractSet[str]) -> Iterator[Measure]:
    for node in nodes:
        if node.op == "logp" and _model(node) in learners and node.column in SIDES:
            yield Measure(f"logps/{node.column}", _made("sum", node, over=frozenset({"token"})))


def _columns(node: Expression) -> set[str]:
    return {leaf.asked.column for leaf in node.leaves if leaf.asked is not None}


def _constant(value: float) -> Expression:
    return _made("constant", value=value)


def _made(op: str, *args: Expression, value: float = 0.0, over: frozenset[str] = frozenset()) -> Expression:
    axes = frozenset[str]().union(*(arg.axes for arg in args)) - over
    return Expression(
        op=op,
        args=args,
        axes=axes,
        source=next((arg.source for arg in args if "group" in arg.axes), ""),
        column=next((arg.column for arg in args if "token" in arg.axes), "") if "token" in axes else "",
        over=over,
        asked=None,
        name="",
        value=value,
        course=None,
        discount=1.0,
        trace=1.0,
    )
