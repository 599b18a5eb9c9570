"""Row expressions: what `prompts`, `respond` and `keep` compute from the columns of one row."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.compiler.graph import Json
from ptc.compiler.scope import Scope
from ptc.compiler.values import UNKNOWN, Unknown, constant
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

OPERATORS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "==": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "and": "and",
    "or": "or",
}
FUNCTIONS = {"reverse": 1, "strip": 1, "lower": 1, "length": 1, "concat": 2, "after": 2}
"""Text functions by the number of their arguments."""

COLUMN_ORDER = (
    "prompt",
    "answer",
    "group",
    "response",
    "chosen",
    "rejected",
    "logprobs",
    "reward",
)


def ordered(columns: set[str]) -> tuple[str, ...]:
    """Columns as they are always listed: the known ones in the order of their making, then the rest by name."""
    known = [column for column in COLUMN_ORDER if column in columns]
    return (*known, *sorted(columns.difference(known)))


def row_expression(expr: ast.Expr, rows: core.Source, scope: Scope) -> Json | Unknown:
    """The document of a row expression, or UNKNOWN after a report."""
    match expr:
        case ast.Column(name=name):
            return {"op": "column", "name": name} if check_column(name, expr.span, rows, scope.findings) else UNKNOWN
        case ast.Binary(op=op):
            return _of(OPERATORS[op], [row_expression(expr.left, rows, scope), row_expression(expr.right, rows, scope)])
        case ast.Unary(op=op):
            return _of("neg" if op == "-" else "not", [row_expression(expr.operand, rows, scope)])
        case ast.Call(callee=ast.Name(id=name)) if name in FUNCTIONS:
            return _function(expr, name, rows, scope)
        case ast.Call(callee=callee):
            guess = closest(callee.id, FUNCTIONS) if isinstance(callee, ast.Name) else None
            scope.findings.add(
                "N101",
                "no such function of a row",
                [at(callee.span, "not known")],
                [f"there are {', '.join(FUNCTIONS)}"],
                [f"did you mean `{guess}`?"] if guess else [],
            )
            return UNKNOWN
        case ast.Name() if expr.id not in ("none", "true", "false"):
            return _named_value(expr, rows, scope)
        case _:
            value = constant(expr, scope)
            return UNKNOWN if isinstance(value, Unknown) else {"op": "constant", "value": value}


def _named_value(expr: ast.Name, rows: core.Source, scope: Scope) -> Json | Unknown:
    """A bare word is a parameter, or a column whose dot was forgotten."""
    if scope.find(expr.id) is None and rows.type.has(expr.id):
        scope.findings.add(
            "N101",
            f"nothing here is called `{expr.id}`",
            [at(expr.span, "a column is written with a dot")],
            helps=[f".{expr.id}"],
        )
        return UNKNOWN
    value = constant(expr, scope)
    return UNKNOWN if isinstance(value, Unknown) else {"op": "constant", "value": value}


def _function(expr: ast.Call, name: str, rows: core.Source, scope: Scope) -> Json | Unknown:
    wanted = FUNCTIONS[name]
    if len(expr.arguments) != wanted or any(argument.name for argument in expr.arguments):
        scope.findings.add(
            "N109" if len(expr.arguments) > wanted else "N104",
            f"`{name}` takes {wanted} argument{'s' if wanted > 1 else ''} by position",
            [at(expr.span, f"{len(expr.arguments)} given")],
        )
        return UNKNOWN
    return _of(name, [row_expression(argument.value, rows, scope) for argument in expr.arguments])


def _of(op: str, args: list[Json | Unknown]) -> Json | Unknown:
    return UNKNOWN if any(isinstance(arg, Unknown) for arg in args) else {"op": op, "args": args}


def check_column(name: str, span: Span, rows: core.Source, findings: Findings) -> bool:
    """Whether the rows have a column; if not, says which they have and where they come from."""
    if rows.type.has(name):
        return True
    guess = closest(name, rows.type.columns)
    helps = [f"did you mean `.{guess}`?"] if guess else []
    if name == "reward" and not guess:
        helps.append("|> score(exact)")
    findings.add(
        "T101",
        f"these rows have no column `{name}`",
        [at(span, f"no `{name}` here"), at(rows.span, "the rows come from here")],
        [f"their columns are {', '.join(f'`{column}`' for column in rows.type.columns)}"],
        helps,
    )
    return False


def in_words(document: Json) -> str:
    """A row expression as a reader would say it: ``reward = 1``."""
    signs = {"eq": "=", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "and": "and", "or": "or"}
    signs |= {"add": "+", "sub": "-", "mul": "*", "div": "/"}
    match document["op"]:
        case "column":
            return str(document["name"])
        case "constant":
            value = document["value"]
            return f"{value:g}" if isinstance(value, float) else str(value)
        case op if op in signs:
            left, right = document["args"]
            return f"{in_words(left)} {signs[op]} {in_words(right)}"
        case op:
            return f"{op}({', '.join(in_words(arg) for arg in document['args'])})"
