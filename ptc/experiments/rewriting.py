"""Trees changed: names in expressions exchanged, statements of a stage exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from ptc.lang import ast
from ptc.lang.same import walk

Change = Callable[[ast.Node], ast.Node | None]
"""What comes in the place of a node; None: it stays, and what is in it is looked at."""

_NO_EXPRESSIONS = frozenset(
    ("span", "name", "verb", "keyword", "role", "names", "module", "target", "check", "kind", "by", "type")
)
"""Fields that hold no expression: a name in them declares or labels something."""


def rewritten(node: Any, change: Change) -> Any:
    """A tree with some of its expressions exchanged."""
    if isinstance(node, tuple):
        return tuple(rewritten(item, change) for item in node)
    if not isinstance(node, ast.Node):
        return node
    changed = change(node)
    if changed is not None:
        return changed
    if isinstance(node, ast.Recipe | ast.Objective | ast.Extern | ast.TypeAlias):
        return node  # their names are their own
    parts = {
        field.name: rewritten(getattr(node, field.name), change)
        for field in fields(node)
        if field.name not in _NO_EXPRESSIONS
    }
    new = {name: part for name, part in parts.items() if part is not getattr(node, name)}
    return replace(node, **new) if new else node


def named(names: Mapping[str, ast.Expr]) -> Change:
    """Exchanges names in expressions, but not in a stage that gives one of them another meaning inside."""

    def change(node: ast.Node) -> ast.Node | None:
        if isinstance(node, ast.Name):
            return names.get(node.id)
        if isinstance(node, ast.Stage) and names.keys() & set(declared_in(node)):
            inside = {name: expr for name, expr in names.items() if name not in declared_in(node)}
            return inner(node, named(inside))
        return None

    return change


def inner(stage: ast.Stage, change: Change) -> ast.Stage:
    """A stage with what is inside its block, and in its head, rewritten."""
    body = replace(stage.body, statements=rewritten(stage.body.statements, change))
    return replace(stage, claims=rewritten(stage.claims, change), body=body)


def declared_in(stage: ast.Stage) -> Iterator[str]:
    """The names that a stage declares inside."""
    for statement in stage.body.statements:
        if isinstance(statement, ast.Define | ast.Role):
            yield statement.name.id


def mentions(tree: Any, name: str) -> bool:
    """Whether a name stands in a tree, as whatever."""
    return any(isinstance(node, ast.Name) and node.id == name for node in walk(tree))


def with_statements(program: ast.Program, change: Callable[[ast.Statement], Iterator[ast.Statement]]) -> ast.Program:
    """A program each of whose statements became none, one or several."""
    return replace(program, statements=tuple(new for old in program.statements for new in change(old)))


# Flows ---------------------------------------------------------------------------------------------------------------


def steps(flow: ast.Expr) -> list[ast.Pipe]:
    """The steps of a flow, the first one first."""
    found: list[ast.Pipe] = []
    while isinstance(flow, ast.Pipe):
        found.append(flow)
        flow = flow.value
    return found[::-1]


def head(flow: ast.Expr) -> ast.Expr:
    """What a flow begins with."""
    while isinstance(flow, ast.Pipe):
        flow = flow.value
    return flow


def callee(expr: ast.Expr) -> str:
    """`sample` of ``sample(…)``."""
    return expr.callee.id if isinstance(expr, ast.Call) and isinstance(expr.callee, ast.Name) else ""


def flow_of(first: ast.Expr, rest: list[ast.Pipe]) -> ast.Expr:
    """A flow of a beginning and steps."""
    value = first
    for step in rest:
        value = replace(step, value=value)
    return value


def call(span_of: ast.Node, name: str, *arguments: ast.Expr) -> ast.Call:
    """``name(argument, …)`` in the place of something."""
    span = span_of.span
    return ast.Call(span, ast.Name(span, name), tuple(ast.Argument(span, None, each) for each in arguments))
