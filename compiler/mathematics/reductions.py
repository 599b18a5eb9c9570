"""Reductions: ``over`` names the axes that are removed."""

from __future__ import annotations

from dataclasses import replace

from ptc.compiler.core import Expression
from ptc.compiler.mathematics.columns import AXES, SAMPLE, listed
from ptc.compiler.mathematics.problems import Problem
from ptc.compiler.mathematics.value import Value, constant
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

REDUCTIONS = {"mean": "mean", "sum": "sum", "std": "std", "count": "count", "min": "min_over", "max": "max_over"}
"""Functions that take ``over``, and the operation that each is."""


def reduced(name: str, value: Value, over: ast.Expr, span: Span) -> Value:
    """``mean(value, over = …)``. Raises `Problem` for an axis that is not there."""
    if value.constant is not None and name not in ("sum", "count"):
        return constant(0.0 if name == "std" else value.constant)
    removed = removed_axes(over, value)
    nonlinear = _nonlinear(name, value, removed, span)
    return without(REDUCTIONS[name], replace(value, nonlinear=value.nonlinear or nonlinear), removed)


def _nonlinear(name: str, value: Value, removed: frozenset[str], span: Span) -> Problem | None:
    if name not in ("std", "min", "max") or not value.gradient or not (removed & SAMPLE or value.reduced):
        return None
    title = "a deviation over the batch cannot carry gradient"
    if name != "std":
        title = f"a {name}imum over the batch cannot carry gradient"
    return Problem("T107", title, span, "not linear", helps=("stop(…)",))


def without(op: str, value: Value, removed: frozenset[str]) -> Value:
    """The reduction itself."""
    fields: dict[str, object] = {"over": sorted(removed)}
    if value.tokens is not None:
        fields["tokens"] = value.tokens
    axes, gradient = value.axes - removed, value.gradient and op != "count"
    return Value(
        Expression(op, (value.expression,), fields, axes),
        value.table if axes & SAMPLE else None,
        value.tokens if "token" in axes else None,
        gradient,
        gradient and (value.reduced or bool(removed & SAMPLE)),
        value.nonlinear,
    )


def removed_axes(over: ast.Expr, value: Value) -> frozenset[str]:
    """The axes that `over` removes; each must be there."""
    items = over.items if isinstance(over, ast.List) else (over,)
    removed: set[str] = set()
    for item in items:
        if not isinstance(item, ast.Name) or item.id not in AXES:
            guess = closest(item.id, AXES) if isinstance(item, ast.Name) else None
            raise Problem(
                "T104",
                "`over` names axes",
                item.span,
                "not an axis",
                (f"the axes are {', '.join(AXES)}",),
                (f"did you mean `{guess}`?",) if guess else (),
            )
        axes = SAMPLE if item.id == "sample" else frozenset({item.id})
        if not axes & value.axes:
            raise Problem(
                "T104",
                f"there is no `{item.id}` axis left to remove",
                item.span,
                "not there (any more)",
                (f"the value has these axes: {listed(value.axes)}",),
                (f"leave `{item.id}` out of `over`",),
            )
        removed |= axes & value.axes
    _leaves_what_lines_up(value.axes - removed, removed, over.span)
    return frozenset(removed)


def _leaves_what_lines_up(left: frozenset[str], removed: set[str], span: Span) -> None:
    """The third token of one sample has nothing to do with that of another."""
    inner = next((axis for axis in ("token", "step") if axis in left), None)
    if removed & SAMPLE and inner is not None:
        raise Problem(
            "T104",
            f"the {inner}s of different samples do not line up",
            span,
            f"leaves one value per {inner}",
            helps=(f"over = [{inner}, sample]", f"reduce over `{inner}` first:  mean(…, over = {inner})"),
        )
    if "prompt" in removed and "group" in left:
        raise Problem(
            "T104",
            "the attempts at different prompts do not line up",
            span,
            "leaves one value per attempt",
            helps=("over = sample", "reduce over `group` first:  mean(…, over = group)"),
        )
