"""What is known of a loss without data: the values of arguments, choices between terms, folding of arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ptc.compiler.core import Anneal, Role
from ptc.lang import ast

COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div"}

_FOLD: Mapping[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "min": min,
    "max": max,
    "exp": math.exp,
    "log": math.log,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "abs": abs,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "log_sigmoid": lambda a: -math.log1p(math.exp(-a)),
    "clamp": lambda a, low, high: min(max(a, low), high),
    "stop": lambda a: a,
    "where": lambda condition, yes, no: yes if condition else no,
    "eq": lambda a, b: float(a == b),
    "ne": lambda a, b: float(a != b),
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "gt": lambda a, b: float(a > b),
    "ge": lambda a, b: float(a >= b),
}


def folded(op: str, values: list[float | None]) -> float | None:
    """The value of an operation on constants; None where one is no constant, or there is no finite value."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or op not in _FOLD:
        return None
    try:
        return float(_FOLD[op](*known))
    except (ArithmeticError, ValueError):
        return None


@dataclass(frozen=True)
class Let:
    """``let name = value``; it sees the lets before it."""

    value: ast.Expr
    index: int


@dataclass
class Constants:
    """The values of expressions that neither read a column or a model nor change with the steps."""

    lets: Mapping[str, Let]
    numbers: Mapping[str, float | Anneal]
    models: Mapping[str, Role | None]
    _found: dict[str, float | None] = field(default_factory=dict)

    def of(self, expr: ast.Expr, before: int) -> float | None:
        """The value of an expression that sees the lets `before` a place; None where it is no constant."""
        match expr:
            case ast.Number(value=value, unit=unit):
                return value / 100 if unit == "%" else float(value)
            case ast.Name(id="true" | "false"):
                return float(expr.id == "true")
            case ast.Name(id=name):
                return self._named(name, before)
            case ast.Unary(op=op, operand=operand):
                known = self.of(operand, before)
                return None if known is None else -known if op == "-" else float(not known)
            case ast.Binary(op="==" | "!=", left=ast.Name(id=name), right=ast.Name(id="none")) if name in self.models:
                return float((self.models[name] is None) == (expr.op == "=="))
            case ast.Binary(op=op):
                return _binary(op, self.of(expr.left, before), self.of(expr.right, before))
            case ast.Choice(condition=condition, yes=yes, no=no):
                chosen = self.of(condition, before)
                return None if chosen is None else self.of(yes if chosen else no, before)
            case _:
                return None

    def _named(self, name: str, before: int) -> float | None:
        let = self.lets.get(name)
        if let is None or let.index >= before:
            number = self.numbers.get(name)
            return number if isinstance(number, int | float) else None
        if name not in self._found:
            self._found[name] = self.of(let.value, let.index)
        return self._found[name]


def _binary(op: str, left: float | None, right: float | None) -> float | None:
    if op == "*" and 0 in (left, right):
        return 0.0
    if left is None or right is None:
        return None
    if op in ("and", "or"):
        return float(bool(left and right) if op == "and" else bool(left or right))
    return folded((ARITHMETIC | COMPARISONS)[op], [left, right])
