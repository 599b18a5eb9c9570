"""Values of `param` and `let`: a constant, or a number with what it counts."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.findings import at
from ptc.compiler.scope import Scope
from ptc.compiler.values import COUNTED, UNKNOWN, Unknown, Value, constant
from ptc.lang import ast

Fixed = Value | core.Count


def fixed(expr: ast.Expr, scope: Scope) -> Fixed | Unknown:
    """The value of an expression that needs no data; UNKNOWN after a report."""
    if isinstance(expr, ast.Number) and expr.unit in COUNTED:
        return counted(expr, scope)
    return constant(expr, scope)


def counted(expr: ast.Number, scope: Scope) -> core.Count | Unknown:
    """``200 steps`` as a value."""
    if expr.value != int(expr.value) or expr.value < 0:
        scope.findings.add("U204", "a count is a whole number", [at(expr.span, "is not")])
        return UNKNOWN
    return core.Count(int(expr.value), COUNTED[expr.unit or ""])
