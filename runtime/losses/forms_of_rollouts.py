"""Forms of losses that weigh what was sampled: divergences, ratios that are clipped or capped, and drift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from ptc.runtime.losses.measure import Measure, constant, made, model, over_tokens
from ptc.runtime.losses.tree import TOKEN, Expression, walked

RATIO, RATIO_SQUARED = "importance_ratio/mean", "importance_ratio/squared"
"""What the effective sample size is made of."""


def divergences(nodes: Sequence[Expression], learners: AbstractSet[str]) -> Iterator[Measure]:
    for node in nodes:
        if node.op == "max" and _is_held_against(node):
            yield Measure("kl", node)
        if node.op != "sub":
            continue
        left, right = node.args
        if _is_k3(left, right) or (_is_of_the_author(left) and right.op == "logp" and model(right) not in learners):
            yield Measure("kl", node)


def _is_held_against(node: Expression) -> bool:
    """``max(0, mean(sum(logp - logp)))``: how far the learner is from a reference, at least 0."""
    [*least, mean] = node.args
    if [each.value for each in least if each.op == "constant"] != [0.0] or mean.op != "mean" or mean.axes:
        return False
    [summed] = mean.args
    return summed.op == "sum" and summed.args[0].op == "sub" and all(arg.op == "logp" for arg in summed.args[0].args)


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
    return _is_of_the_engine(node) or _is_of_before(node)


def _is_of_before(node: Expression) -> bool:
    """What the learner said when the batch was taken up, or before."""
    return node.op == "logp" and node.asked is not None and node.asked.at in ("stage_start", "batch_start")


def _is_of_the_engine(node: Expression) -> bool:
    return node.op == "column" and node.name == "logprobs"


def clipped(nodes: Sequence[Expression]) -> Iterator[Measure]:
    """``min(r * a, clamp(r, low, high) * a)``"""
    for node in nodes:
        if node.op != "min" or len(node.args) != 2 or any(arg.op != "mul" for arg in node.args):
            continue
        for free, held in (node.args, node.args[::-1]):
            for ratio, advantage in (free.args, free.args[::-1]):
                clamped = next((arg for arg in held.args if arg is not advantage), advantage)
                if advantage in held.args and clamped.op == "clamp" and _is_capped(ratio, clamped.args[0]):
                    yield from _regions(clamped.args[0], advantage, clamped.args[1], clamped.args[2])


def _is_capped(node: Expression, ratio: Expression) -> bool:
    """Whether it is the ratio, or the lesser of it and a number."""
    return node is ratio or (
        node.op == "min" and ratio in node.args and all(a is ratio or not a.axes for a in node.args)
    )


def _regions(ratio: Expression, advantage: Expression, least: Expression, most: Expression) -> Iterator[Measure]:
    nothing = constant(0.0)
    low = made("mul", made("lt", ratio, least), made("lt", advantage, nothing))
    high = made("mul", made("gt", ratio, most), made("gt", advantage, nothing))
    yield Measure("clip_ratio/low_mean", low)
    yield Measure("clip_ratio/high_mean", high)
    yield Measure("clip_ratio/region_mean", made("add", low, high))
    if low.layout != TOKEN:
        yield Measure("clip_ratio/low_min", low, "least")
        yield Measure("clip_ratio/high_max", high, "greatest")
    else:
        spoken = made("gt", over_tokens("count", low), nothing)
        yield Measure("clip_ratio/low_min", over_tokens("mean", low), "least", spoken)
        yield Measure("clip_ratio/high_max", over_tokens("mean", high), "greatest", spoken)


def capped(nodes: Sequence[Expression]) -> Iterator[Measure]:
    """``stop(min(exp(q), cap)) * a``"""
    for node in nodes:
        if node.op != "mul":
            continue
        for weight, advantage in (node.args, node.args[::-1]):
            if weight.op != "stop" or weight.args[0].op != "min" or advantage.has_forward or not advantage.axes:
                continue
            ratios = [arg for arg in weight.args[0].args if arg.op == "exp" and arg.has_forward]
            caps = [arg for arg in weight.args[0].args if not arg.axes]
            if len(ratios) == len(caps) == 1:
                gained = made("gt", advantage, constant(0.0))
                yield Measure("cispo_clip_ratio", made("mul", made("gt", ratios[0], caps[0]), gained))


def ratios(nodes: Sequence[Expression], learners: AbstractSet[str]) -> Iterator[Measure]:
    """``exp(…)`` of what the learner says now against what sampled the tokens, or it said when it took them up."""
    for node in nodes:
        parts = list(walked([node])) if node.op == "exp" else []
        now = any(part.op == "logp" and model(part) in learners and not _is_of_before(part) for part in parts)
        if now and any(_is_of_the_engine(part) or _is_of_before(part) for part in parts):
            yield Measure(RATIO, node)
            yield Measure(RATIO_SQUARED, made("mul", node, node))
            yield Measure("importance_ratio/min", node, "least")
            yield Measure("importance_ratio/max", node, "greatest")


def drifts(nodes: Sequence[Expression]) -> Iterator[Measure]:
    """What the learner said when the batch was taken up less what the engine said, and weights made of it."""
    for node in nodes:
        if node.op != "sub" or not _is_drift(*node.args):
            continue
        yield Measure("sampling/sampling_logp_difference/mean", made("abs", node))
        yield Measure("sampling/sampling_logp_difference/max", made("abs", node), "greatest")
        for weight in nodes:
            if weight.op == "stop" and node in walked([weight]):
                yield Measure("sampling/importance_sampling_ratio/min", weight, "least")
                yield Measure("sampling/importance_sampling_ratio/mean", weight)
                yield Measure("sampling/importance_sampling_ratio/max", weight, "greatest")


def _is_drift(said: Expression, sampled: Expression) -> bool:
    """Of a batch that is learned from once the learner was what it is, and is asked without gradient."""
    now = said.op == "stop" and said.args[0].op == "logp"
    return (now or _is_of_before(said)) and _is_of_the_engine(sampled)
