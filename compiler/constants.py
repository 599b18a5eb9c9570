"""Values of `param` and `let`: a constant, or a number with what it counts."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.findings import at
from ptc.compiler.scope import Constant, Scope
from ptc.compiler.values import COUNTED, UNKNOWN, Unknown, Value, constant
from ptc.lang import ast

Fixed = Value | core.Count


def fixed(expr: ast.Expr, scope: Scope) -> Fixed | Unknown:
    """The value of an expression that needs no data; UNKNOWN after a report."""
    match expr:
        case ast.Number(unit=str(unit)) if unit in COUNTED:
            return _counted(expr, scope)
        case ast.Name(id=name) if name not in ("none", "true", "false"):
            found = scope.look_up(expr, (Constant,), "a value")
            return found.value if isinstance(found, Constant) else UNKNOWN
        case _:
            return constant(expr, scope)


def _counted(expr: ast.Number, scope: Scope) -> core.Count | Unknown:
    """``200 steps`` as a value."""
    if expr.value != int(expr.value) or expr.value < 0:
        scope.findings.add("U204", "a count is a whole number", [at(expr.span, "is not")])
        return UNKNOWN
    return core.Count(int(expr.value), COUNTED[expr.unit or ""])
