"""Numbers that may change while a stage runs: ``anneal(0.9, 0.05, over = 200 steps)``."""

from __future__ import annotations

from ptc.compiler.arguments import Parameter, Signature, bind
from ptc.compiler.core import Anneal
from ptc.compiler.graph import Json
from ptc.compiler.scope import Scope
from ptc.compiler.values import UNKNOWN, Unknown, read
from ptc.lang import ast


def read_number(parameter: Parameter, expr: ast.Expr, scope: Scope) -> float | Anneal | Unknown | None:
    """The number that fills a parameter, or its course; both ends are checked like a single number."""
    if isinstance(expr, ast.Call) and isinstance(expr.callee, ast.Name) and expr.callee.id == "anneal":
        return _annealed(parameter, expr, scope)
    value = read(parameter, expr, scope)
    if isinstance(value, Unknown) or value is None:
        return value
    assert isinstance(value, int | float)
    return float(value)


def _annealed(parameter: Parameter, call: ast.Call, scope: Scope) -> Anneal | Unknown:
    ends = [Parameter(name, parameter.kind, least=parameter.least, most=parameter.most) for name in ("start", "end")]
    signature = Signature("anneal", (*ends, Parameter("over", "steps", least=1)))
    bound = bind(signature, call.arguments, call.span, scope.findings)
    if not bound.whole:
        return UNKNOWN
    start, end, over = (read(each, bound.given[each.name], scope) for each in signature.parameters)
    if isinstance(start, float) and isinstance(end, float) and isinstance(over, int):
        return Anneal(start, end, over)
    return UNKNOWN


def document(value: float | Anneal | None) -> Json:
    """A number, or its course, as the graph spells it."""
    if isinstance(value, Anneal):
        return {"anneal": [value.start, value.end], "over": value.over}
    return value
