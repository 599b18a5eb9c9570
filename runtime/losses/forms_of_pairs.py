"""Forms of losses that hold good texts against bad ones: side by side in a row, or told apart by a label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from ptc.runtime.losses.measure import Measure, constant, made, model, over_tokens
from ptc.runtime.losses.tree import SAMPLE, Expression, walked

SIDES = ("chosen", "rejected")


def compared(nodes: Sequence[Expression]) -> Iterator[Measure]:
    """``better - worse``"""
    for node in nodes:
        if node.op != "sub" or [_columns(arg) for arg in node.args] != [{"chosen"}, {"rejected"}]:
            continue
        if node.layout != SAMPLE:
            continue
        chosen, rejected = (_scaled(arg, [node], nodes) for arg in node.args)
        if all(leaf.op == "score" for leaf in node.leaves if leaf.asked is not None):
            margin, right = made("sub", chosen, rejected), made("gt", chosen, rejected)
            mean = made("mul", constant(0.5), made("add", chosen, rejected))
            yield from map(Measure, ("mean_reward", "margin", "accuracy"), (mean, margin, right))
            yield Measure("min_reward", made("min", chosen, rejected), "least")
            yield Measure("max_reward", made("max", chosen, rejected), "greatest")
        else:
            yield from _rewards(chosen, rejected)


def rewarded(nodes: Sequence[Expression], learners: AbstractSet[str]) -> Iterator[Measure]:
    """A difference of log-probabilities of ``.chosen``, and one of ``.rejected``, wherever they stand."""
    for chosen in nodes:
        for rejected in nodes:
            gains = _is_gain(chosen, learners) and _is_gain(rejected, learners)
            if gains and (_columns(chosen), _columns(rejected)) == ({"chosen"}, {"rejected"}):
                yield from _rewards(_factored(chosen, nodes), _factored(rejected, nodes))


def _rewards(chosen: Expression, rejected: Expression) -> Iterator[Measure]:
    names = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies")
    yield from map(Measure, names, (chosen, rejected, made("sub", chosen, rejected), made("gt", chosen, rejected)))


def log_probabilities(nodes: Sequence[Expression], learners: AbstractSet[str]) -> Iterator[Measure]:
    for node in nodes:
        if node.op == "logp" and model(node) in learners and node.column in SIDES:
            yield Measure(f"logps/{node.column}", over_tokens("sum", node))


def labelled(nodes: Sequence[Expression], learners: AbstractSet[str]) -> Iterator[Measure]:
    """``where(.label, …, …)``, both sides of one difference of log-probabilities."""
    for node in nodes:
        if node.op != "where" or node.args[0].op != "column" or node.layout != SAMPLE:
            continue
        label, *branches = node.args
        first, second = ([each for each in walked([branch]) if _is_gain(each, learners)] for branch in branches)
        for gain in (each for each in first if each in second and each.source == label.source):
            reward, said = _factored(gain, nodes), over_tokens("sum", gain.args[0].args[0])
            for side, among in zip(SIDES, (label, made("eq", label, constant(0.0))), strict=True):
                yield Measure(f"rewards/{side}", reward, among=among)
                yield Measure(f"logps/{side}", said, among=among)


def _is_gain(node: Expression, learners: AbstractSet[str]) -> bool:
    """What the learner says of a text less what a model that does not learn says, summed over its tokens."""
    if node.op != "sum" or node.layout != SAMPLE or not node.has_forward or node.args[0].op != "sub":
        return False
    own, other = node.args[0].args
    return own.op == other.op == "logp" and model(own) in learners and model(other) not in learners


def _factored(gain: Expression, nodes: Sequence[Expression]) -> Expression:
    return _scaled(gain, [node for node in nodes if node.op == "sub" and gain in node.args], nodes)


def _scaled(side: Expression, differences: Sequence[Expression], nodes: Sequence[Expression]) -> Expression:
    """One side of a difference, times the number, without its sign, by which it or a difference is multiplied."""
    held = {side, *differences}
    for node in nodes:
        if node.op == "mul" and held & set(node.args):
            for factor in node.args:
                if not factor.axes and not factor.has_forward:
                    return made("mul", made("abs", factor), side)
    return side


def _columns(node: Expression) -> set[str]:
    return {leaf.asked.column for leaf in node.leaves if leaf.asked is not None}
