"""Operations that work value by value: arithmetic, functions of one number, comparisons, choices."""

from __future__ import annotations

from dataclasses import replace

from ptc.compiler.core import Expression
from ptc.compiler.mathematics.constants import folded
from ptc.compiler.mathematics.problems import Problem
from ptc.compiler.mathematics.value import Value, aligned, constant, first_nonlinear
from ptc.lang.source import Span

FUNCTIONS = {
    "exp": 1,
    "log": 1,
    "log1p": 1,
    "sqrt": 1,
    "abs": 1,
    "sigmoid": 1,
    "log_sigmoid": 1,
    "stop": 1,
    "clamp": 3,
    "where": 3,
}
"""By the number of their arguments."""
COMPARING = ("eq", "ne", "lt", "le", "gt", "ge")
"""They give 0 or 1, which carries no gradient."""
LINEAR = ("add", "sub", "neg", "stop")


def applied(op: str, args: tuple[Value, ...], span: Span) -> Value:
    """A pointwise operation: constants are folded, axes joined, the law of linearity held."""
    number = folded(op, [arg.constant for arg in args])
    if number is not None:
        return constant(number)
    if op == "div" and args[1].constant == 0:
        raise Problem("T112", "this divides by 0", span, "the divisor is the constant 0")
    simpler = _simplified(op, args)
    if simpler is not None:
        return simpler
    common = aligned(args, span)
    nonlinear = None if op == "stop" else first_nonlinear(args) or _nonlinear(op, args, span)
    gradient = op not in (*COMPARING, "stop") and any(arg.gradient for arg in args)
    reduced = gradient and any(arg.reduced for arg in args)
    expression = Expression(op, tuple(arg.expression for arg in args), {}, common.axes)
    return Value(expression, common.table, common.tokens, gradient, reduced, nonlinear)


def _simplified(op: str, args: tuple[Value, ...]) -> Value | None:
    """What is left of a sum with 0, of a product with 0 or 1, of a choice that is made."""
    match op:
        case "where":
            return None if args[0].constant is None else args[1] if args[0].constant else args[2]
        case "mul":
            left, right = args
            if 0 in (left.constant, right.constant):
                return constant(0.0)
            return right if left.constant == 1 else left if right.constant == 1 else None
        case "add" | "sub":
            left, right = args
            if right.constant == 0:
                return left
            if left.constant == 0:
                return right if op == "add" else negated(right)
            return None
        case _:
            return None


def negated(value: Value) -> Value:
    if value.constant is not None:
        return constant(-value.constant)
    return replace(value, expression=Expression("neg", (value.expression,), {}, value.axes))


def _nonlinear(op: str, args: tuple[Value, ...], span: Span) -> Problem | None:
    """A mean over the batch that carries gradient may be added, and scaled by what carries none."""
    if op in LINEAR or not any(arg.reduced for arg in args):
        return None
    scaled = (
        (op == "mul" and not all(arg.gradient for arg in args))
        or (op == "div" and not args[1].gradient)
        or (op == "where" and not args[0].reduced)
    )
    if scaled:
        return None
    return Problem(
        "T107",
        "this is not linear in a mean over the batch that carries gradient",
        span,
        "would depend on how the batch is split",
        ("a mean over prompts or samples is taken piece by piece; only a linear use of it has one meaning",),
        ("stop(…)",),
    )
