"""An expression with what the laws of the language ask of it: whose rows and tokens its axes run over, and whether
gradient flows through it, or through a reduction over the batch that it holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from ptc.compiler.core import Expression
from ptc.compiler.mathematics.bindings import Table
from ptc.compiler.mathematics.columns import STEPPED_TEXTS
from ptc.compiler.mathematics.problems import Problem
from ptc.lang.source import Span


@dataclass(frozen=True, eq=False)
class Value:
    """An expression, and what the laws of the language ask of it."""

    expression: Expression
    table: Table | None = None
    """Whose rows its axes run over; None where it has no axes of rows."""
    tokens: str | None = None
    """The text column whose tokens the `token` axis runs over."""
    gradient: bool = False
    """Whether a trained role is read below, outside `stop`."""
    reduced: bool = False
    """Whether a reduction over the batch that carries gradient stands below, outside `stop`."""
    nonlinear: Problem | None = None
    """What such a reduction is used for, outside `stop`, that is not linear in it."""

    @property
    def axes(self) -> frozenset[str]:
        return self.expression.axes

    @property
    def constant(self) -> float | None:
        return self.expression.constant


def constant(value: float) -> Value:
    return Value(Expression("constant", (), {"value": float(value)}))


@dataclass(frozen=True)
class Aligned:
    """What several values have in common when they are laid out by name."""

    axes: frozenset[str]
    table: Table | None
    tokens: str | None


def aligned(args: tuple[Value, ...], span: Span) -> Aligned:
    """The axes of several values taken together. Raises `Problem` where two of them do not line up."""
    return reduce(lambda left, right: _two(left, right, span), args, Aligned(frozenset(), None, None))


def _two(left: Aligned, right: Aligned | Value, span: Span) -> Aligned:
    table = _table(left, right, span)
    if left.tokens and right.tokens and left.tokens != right.tokens:
        names = sorted((left.tokens, right.tokens))
        raise Problem(
            "T104",
            f"tokens of {' and '.join(f'`.{name}`' for name in names)} do not line up",
            span,
            "two different token axes",
            helps=("reduce each over `token` first:  sum(…, over = token)",),
        )
    tokens = left.tokens or right.tokens
    axes = left.axes | right.axes
    if {"token", "step"} <= axes:
        if tokens not in STEPPED_TEXTS:
            raise Problem(
                "T104",
                f"the steps are those of the response, and the tokens those of `.{tokens}`",
                span,
                "tokens and steps of two texts",
                helps=("reduce over `token` first:  sum(…, over = token)",),
            )
        axes -= {"step"}  # a token lies in one step: what is known of the step holds for its tokens
    return Aligned(axes, table, tokens)


def _table(left: Aligned | Value, right: Aligned | Value, span: Span) -> Table | None:
    """Whose rows a joint value runs over."""
    one, other = left.table, right.table
    if one is None or other is None or one is other:
        return one or other
    names = f"`{one.name}` and `{other.name}`"
    if not one.shares_prompts_with(other):
        raise Problem(
            "T104",
            f"the rows of {names} do not line up",
            span,
            "two different batches",
            ("each source has its own batch",),
            ("reduce each to one number first:  mean(…, over = sample)", f"|> join({one.name}, on = .prompt)"),
        )
    if left.axes <= {"prompt"}:
        return other
    if right.axes <= {"prompt"}:
        return one
    raise Problem(
        "T104",
        f"the attempts of {names} do not line up",
        span,
        "two different groups",
        ("the two share their prompts, and each prompt has a group in either",),
        ("reduce over `group` first:  mean(…, over = group)",),
    )


def first_nonlinear(args: tuple[Value, ...]) -> Problem | None:
    """The first thing below that is not linear where it must be."""
    return next((arg.nonlinear for arg in args if arg.nonlinear is not None), None)
