"""Something that can be measured of a batch, and how the expression that says it is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ptc.runtime.losses.tree import Expression

Taken = Literal["mean", "least", "greatest"]


@dataclass(frozen=True)
class Measure:
    """A name, and the expression whose mean (or least, or greatest value) over a batch it stands for."""

    name: str
    of: Expression
    taken: Taken = "mean"
    among: Expression | None = None
    """Of the values at which this is not 0."""


def model(node: Expression) -> str:
    """Whom a node asks, if anyone."""
    return node.asked.model if node.asked is not None else ""


def constant(value: float) -> Expression:
    return made("constant", value=value)


def over_tokens(op: str, arg: Expression) -> Expression:
    """A reduction over the tokens of each sample."""
    return made(op, arg, over=("token", "step"))


def made(op: str, *args: Expression, value: float = 0.0, over: Iterable[str] = ()) -> Expression:
    axes = frozenset[str]().union(*(arg.axes for arg in args)) - frozenset(over)
    return Expression(
        op=op,
        args=args,
        axes=axes,
        source=next((arg.source for arg in args if "group" in arg.axes), ""),
        column=next((arg.column for arg in args if "token" in arg.axes), "") if "token" in axes else "",
        over=frozenset(over),
        asked=None,
        name="",
        value=value,
        course=None,
        discount=1.0,
        trace=1.0,
    )
