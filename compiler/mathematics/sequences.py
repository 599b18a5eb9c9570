"""Sums that run over the tokens, or over the steps, of one sample."""

from __future__ import annotations

from dataclasses import replace

from ptc.compiler.core import Expression
from ptc.compiler.mathematics.columns import listed
from ptc.compiler.mathematics.problems import Problem
from ptc.compiler.mathematics.value import Value, aligned, first_nonlinear
from ptc.lang.source import Span


def running(op: str, value: Value, span: Span, fields: dict[str, object]) -> Value:
    """`suffix_sum` or `suffix_min`: at each token, or at each step, over it and all that follow in its sample."""
    axis = next((axis for axis in ("token", "step") if axis in value.axes), None)
    if axis is None:
        raise Problem(
            "T104",
            f"`{op}` runs over the tokens or the steps of a sample",
            span,
            f"has these axes: {listed(value.axes)}",
            helps=(f"{op}(at_end(…))",),
        )
    fields = {"axis": axis, **fields}
    if value.tokens is not None:
        fields["tokens"] = value.tokens
    return replace(value, expression=Expression(op, (value.expression,), fields, value.axes))


def at_end(value: Value, column: str, span: Span) -> Value:
    """A value per sample on the sample's last token, or one per step on the step's last token; 0 on all others."""
    if "token" in value.axes or not value.axes:
        raise Problem(
            "T104",
            "`at_end` takes one value per sample or per step",
            span,
            f"has these axes: {listed(value.axes)}",
            helps=("at_end(.reward)",),
        )
    axes = (value.axes - {"step"}) | {"token", "prompt", "group"}
    return replace(value, expression=Expression("at_end", (value.expression,), {"tokens": column}, axes), tokens=column)


def generalised_advantage(reward: Value, value: Value, discount: float, trace: float, span: Span) -> Value:
    """GAE (Schulman et al., 2016): sums of reward + discount * next value - value, decaying by discount * trace."""
    common = aligned((reward, value), span)
    if "token" not in reward.axes or "token" not in value.axes:
        short = reward if "token" not in reward.axes else value
        raise Problem(
            "T104",
            "`gae` takes one reward and one value per token",
            span,
            f"one of them has these axes: {listed(short.axes)}",
            helps=("gae(at_end(.reward), value(critic, .response))",),
        )
    fields = {"discount": discount, "lambda": trace, "tokens": common.tokens}
    expression = Expression("gae", (reward.expression, value.expression), fields, common.axes)
    return Value(
        expression,
        common.table,
        common.tokens,
        reward.gradient or value.gradient,
        reward.reduced or value.reduced,
        first_nonlinear((reward, value)),
    )
