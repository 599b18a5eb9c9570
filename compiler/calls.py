"""Calls in general: how a callee is spelled, and the constants among the arguments."""

from __future__ import annotations

from ptc.compiler.arguments import Bound, Signature
from ptc.compiler.graph import Json
from ptc.compiler.scope import Scope
from ptc.compiler.values import UNKNOWN, Unknown, constant, read, read_list
from ptc.lang import ast

THINGS = ("row", "model", "source", "sources", "verifier", "tokenizer", "number")
"""Kinds of parameters that no constant fills."""


def dotted(expr: ast.Expr) -> str:
    """``new.model`` as one word; a callee that is no name is ``…``."""
    match expr:
        case ast.Name(id=name):
            return name
        case ast.Member(base=base, name=name):
            return f"{dotted(base)}.{name.id}"
        case _:
            return "…"


def constants(signature: Signature, bound: Bound, scope: Scope) -> dict[str, Json] | None:
    """The constant arguments of a call with defaults filled in; None after a report."""
    values: dict[str, Json] = {}
    for parameter in signature.parameters:
        if parameter.kind in THINGS:
            continue
        given = bound.given.get(parameter.name)
        if given is None:
            default = parameter.default
            values[parameter.name] = list(default) if isinstance(default, tuple) else default
        elif parameter.kind in ("reals", "texts"):
            values[parameter.name] = read_list(parameter, given, scope)
        else:
            values[parameter.name] = read(parameter, given, scope)
    if signature.others == "constant":
        for name, expr in bound.others.items():
            values[name] = _constant_or_list(expr, scope)
    return None if any(value is UNKNOWN or value is ... for value in values.values()) else values


def _constant_or_list(expr: ast.Expr, scope: Scope) -> Json | Unknown:
    if isinstance(expr, ast.List):
        items = [constant(item, scope) for item in expr.items]
        return UNKNOWN if any(isinstance(item, Unknown) for item in items) else items
    return constant(expr, scope)
