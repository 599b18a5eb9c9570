"""Constants: numbers with their units, texts, choices. Everything here reads an expression that needs no data."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from ptc.compiler import core
from ptc.compiler.arguments import Parameter
from ptc.compiler.findings import at
from ptc.compiler.scope import Constant, Scope
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

Value = float | int | str | bool | None

MOST_DIGITS = 18
"""Of whole numbers, as in texts."""
BINARY_MULTIPLES = {"Ki": 2**10, "Mi": 2**20}
DECIMAL_MULTIPLES = {"k": 10**3, "M": 10**6}
COUNTED = {
    "epoch": "epochs",
    "epochs": "epochs",
    "step": "steps",
    "steps": "steps",
    "prompt": "prompts",
    "prompts": "prompts",
    "sample": "samples",
    "samples": "samples",
}


def constant(expr: ast.Expr, scope: Scope) -> Value | Unknown:
    """The value of an expression without columns, models or data; `UNKNOWN` if it has none, which has been reported."""
    match expr:
        case ast.Number(unit=None | "", value=value):
            return value
        case ast.Number(unit="%", value=value):
            return value / 100
        case ast.Number(unit=str(unit), value=value) if unit in BINARY_MULTIPLES:
            return round(value * BINARY_MULTIPLES[unit])
        case ast.Number(unit=str(unit), value=value) if unit in DECIMAL_MULTIPLES:
            return round(value * DECIMAL_MULTIPLES[unit])
        case ast.Number():
            scope.findings.add("U202", f"a plain number is needed, not `{expr.text}`", [at(expr.span, "has a unit")])
            return UNKNOWN
        case ast.String():
            return _text(expr, scope)
        case ast.Name(id="none"):
            return None
        case ast.Name(id="true" | "false"):
            return expr.id == "true"
        case ast.Name():
            return _named(expr, scope)
        case ast.Unary(op="-", operand=operand):
            return _negated(constant(operand, scope))
        case ast.Binary():
            return _arithmetic(expr, scope)
        case ast.Choice():
            chosen = constant(expr.condition, scope)
            if isinstance(chosen, Unknown):
                return UNKNOWN
            return constant(expr.yes if chosen else expr.no, scope)
        case ast.Missing():
            return UNKNOWN
        case _:
            scope.findings.add("T105", "a constant is needed here", [at(expr.span, "depends on data or on a model")])
            return UNKNOWN


def _text(expr: ast.String, scope: Scope) -> str | Unknown:
    """A text, the parameters in an ``f"…"`` filled in."""
    if expr.parts is None:
        return expr.value
    pieces = [part if isinstance(part, str) else constant(part, scope) for part in expr.parts]
    return UNKNOWN if any(isinstance(piece, Unknown) for piece in pieces) else "".join(map(_spelled, pieces))


def _spelled(piece: object) -> str:
    """A value inside a text, as a program would write it."""
    if isinstance(piece, bool) or piece is None:
        return {True: "true", False: "false", None: "none"}[piece]
    return f"{piece:g}" if isinstance(piece, float) else str(piece)


def _named(expr: ast.Name, scope: Scope) -> Value | Unknown:
    """The plain value of a `param` or `let`."""
    found = scope.look_up(expr, (Constant,), "a value")
    if not isinstance(found, Constant):
        return UNKNOWN
    if isinstance(found.value, core.Count):
        text = f"{found.value.count} {found.value.unit}"
        scope.findings.add("U202", f"a plain number is needed, not `{text}`", [at(expr.span, f"it is {text}")])
        return UNKNOWN
    return found.value


class Unknown:
    """No value, and the reason has been reported."""


UNKNOWN = Unknown()


def _negated(value: Value | Unknown) -> Value | Unknown:
    return -value if isinstance(value, int | float) and not isinstance(value, bool) else UNKNOWN


def _arithmetic(expr: ast.Binary, scope: Scope) -> Value | Unknown:
    left, right = constant(expr.left, scope), constant(expr.right, scope)
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return UNKNOWN
    if expr.op == "==":
        return left == right
    if expr.op == "!=":
        return left != right
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        scope.findings.add("T105", f"`{expr.op}` needs numbers on both sides", [at(expr.span, "not both are numbers")])
        return UNKNOWN
    return arithmetic(expr.op, left, right)


def arithmetic(op: str, left: float, right: float) -> Value | Unknown:
    """The value of a binary operation on numbers; UNKNOWN for a division by zero."""
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right if right else UNKNOWN
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right
        case "and":
            return bool(left and right)
        case _:
            return bool(left or right)


def read_list(parameter: Parameter, expr: ast.Expr, scope: Scope) -> list[Value] | Unknown:
    """The constants that fill a parameter of kind ``reals`` or ``texts``, each checked like a single one."""
    one = replace(parameter, kind=parameter.kind.removesuffix("s"), default=...)
    if not isinstance(expr, ast.List):
        if not isinstance(expr, ast.Missing):
            what = "texts" if one.kind == "text" else "numbers"
            example = '["…", "…"]' if one.kind == "text" else "[0.7, 0.3]"
            scope.findings.add(
                "T105",
                f"`{parameter.name}` is a list of {what}",
                [at(expr.span, "not a list")],
                helps=[f"{parameter.name} = {example}"],
            )
        return UNKNOWN
    values: list[Value] = []
    for item in expr.items:
        value = read(one, item, scope)
        if isinstance(value, Unknown):
            return UNKNOWN
        values.append(value)
    return values


def read(parameter: Parameter, expr: ast.Expr, scope: Scope) -> Value | Unknown:
    """The constant that fills a parameter, checked against its kind and range."""
    if parameter.kind == "steps" and parameter.default is None and isinstance(expr, ast.Name) and expr.id == "none":
        return None
    if parameter.kind == "steps":
        counted = count(expr, scope, ("steps",), f"`{parameter.name}`", example=1)
        return counted.count if counted else UNKNOWN
    if parameter.kind == "text" and _unquoted(parameter, expr, scope):
        return UNKNOWN
    value = constant(_without_tokens(expr) if parameter.kind == "tokens" else expr, scope)
    if isinstance(value, Unknown):
        return UNKNOWN
    if parameter.kind == "tokens":
        _note_decimal_length(expr, scope)
    return _fitting(parameter, value, expr.span, scope)


def _unquoted(parameter: Parameter, expr: ast.Expr, scope: Scope) -> bool:
    """Reports a word that stands where a text is meant, such as ``train = drop``."""
    if not isinstance(expr, ast.Name) or expr.id not in parameter.choices or scope.find(expr.id) is not None:
        return False
    scope.findings.add(
        "N101",
        f"nothing here is called `{expr.id}`",
        [at(expr.span, "a text is written in quotes")],
        helps=[f'{parameter.name} = "{expr.id}"'],
    )
    return True


def _without_tokens(expr: ast.Expr) -> ast.Expr:
    """``64 tokens`` → ``64``, ``4k tokens`` → ``4k``, where tokens are what is counted."""
    if not isinstance(expr, ast.Number) or expr.unit is None:
        return expr
    unit = re.sub(r"\s*tokens?$", "", expr.unit)
    return replace(expr, unit=unit or None)


def _fitting(parameter: Parameter, value: Value, span: Span, scope: Scope) -> Value | Unknown:
    name, kind = parameter.name, parameter.kind
    if value is None and (parameter.optional or parameter.default is None):
        return None
    if kind == "text":
        if not isinstance(value, str):
            scope.findings.add("T105", f"`{name}` must be a text", [at(span, "not a text")], helps=[f'{name} = "…"'])
            return UNKNOWN
        if parameter.choices and value not in parameter.choices:
            guess = closest(value, parameter.choices)
            scope.findings.add(
                "N112",
                f"`{name}` cannot be {value!r}".replace("'", '"'),
                [at(span, "not one of them")],
                [f"it is one of {', '.join(parameter.choices)}"],
                [f'did you mean "{guess}"?'] if guess else [],
            )
            return UNKNOWN
        return value
    if kind == "flag":
        if not isinstance(value, bool):
            scope.findings.add(
                "T105", f"`{name}` must be true or false", [at(span, "neither")], helps=[f"{name} = true"]
            )
            return UNKNOWN
        return value
    return _number(parameter, value, span, scope)


def _number(parameter: Parameter, value: Value, span: Span, scope: Scope) -> Value | Unknown:
    name, kind = parameter.name, parameter.kind
    if isinstance(value, bool) or not isinstance(value, int | float):
        scope.findings.add("T105", f"`{name}` must be a number", [at(span, "not a number")])
        return UNKNOWN
    if kind in ("int", "tokens") and not is_whole(value):
        scope.findings.add("T105", f"`{name}` must be a whole number", [at(span, _no_whole_number(value))])
        return UNKNOWN
    if not math.isfinite(value):
        scope.findings.add("T105", f"`{name}` must be a number", [at(span, "too large for one")])
        return UNKNOWN
    least = 0.0 if kind == "share" else parameter.least
    most = 1.0 if kind == "share" else parameter.most
    if (least is not None and value < least) or (most is not None and value > most):
        bounds = _bounds(kind, least, most)
        scope.findings.add("U204", f"`{name}` must be {bounds}", [at(span, f"{value:g} is outside")])
        return UNKNOWN
    return int(value) if kind in ("int", "tokens") else float(value)


def is_whole(value: float) -> bool:
    return abs(value) < 10**MOST_DIGITS and value == int(value)


def _no_whole_number(value: float) -> str:
    return "not a whole number" if abs(value) < 10**MOST_DIGITS else f"more than {MOST_DIGITS} digits"


def _bounds(kind: str, least: float | None, most: float | None) -> str:
    if kind == "share":
        return "between 0% and 100%"
    if least is not None and most is not None:
        return f"between {least:g} and {most:g}"
    return f"at least {least:g}" if least is not None else f"at most {most:g}"


def _note_decimal_length(expr: ast.Expr, scope: Scope) -> None:
    if isinstance(expr, ast.Number) and expr.unit in DECIMAL_MULTIPLES:
        binary = {"k": "Ki", "M": "Mi"}[expr.unit]
        wanted = expr.text.replace(expr.unit, binary).replace(" ", "")
        exact, meant = constant(expr, scope), round(expr.value * BINARY_MULTIPLES[binary])
        scope.findings.add(
            "U203",
            f"`{expr.text}` is {exact:,} tokens, not {meant:,}",
            [at(expr.span, "a decimal multiple")],
            helps=[wanted],
        )


def count(expr: ast.Expr, scope: Scope, units: tuple[str, ...], what: str, example: int) -> core.Count | None:
    """A number with one of `units`; a bare number is the commonest mistake there is, and is asked about."""
    if isinstance(expr, ast.Missing):
        return None
    if isinstance(expr, ast.Number) and expr.unit in COUNTED and COUNTED[expr.unit] in units:
        if not is_whole(expr.value) or expr.value < (0 if units == ("steps",) else 1):
            scope.findings.add("U204", f"{what} must be a whole number, at least 1", [at(expr.span, "is not")])
            return None
        return core.Count(int(expr.value), COUNTED[expr.unit])
    if isinstance(expr, ast.Number) and expr.unit is None:
        number = expr.text
        wanted = " or ".join(units)
        scope.findings.add(
            "U201",
            f"{number} of what? {what} counts {wanted}",
            [at(expr.span, "a bare number")],
            helps=[f"{number} {unit}" for unit in units],
        )
        return None
    if isinstance(expr, ast.Number):
        scope.findings.add(
            "U202",
            f"{what} cannot be counted in `{expr.unit}`",
            [at(expr.unit_span or expr.span, f"{what} counts {' or '.join(units)}")],
            helps=[f"{expr.value:g} {unit}" for unit in units],
        )
        return None
    named = _named_count(expr, scope)
    if named is not None:
        return _fitting_count(named, expr, scope, units, what)
    value = constant(expr, scope)
    if isinstance(value, int) and not isinstance(value, bool) and len(units) == 1:
        return core.Count(value, units[0])
    if not isinstance(value, Unknown):
        scope.findings.add(
            "U201", f"{what} needs a unit", [at(expr.span, "a bare value")], helps=[f"{example} {units[0]}"]
        )
    return None


def _named_count(expr: ast.Expr, scope: Scope) -> core.Count | None:
    """The count that a name stands for, if it stands for one."""
    entry = scope.find(expr.id) if isinstance(expr, ast.Name) else None
    value = entry.thing.value if entry is not None and isinstance(entry.thing, Constant) else None
    return value if isinstance(value, core.Count) else None


def _fitting_count(
    value: core.Count, expr: ast.Expr, scope: Scope, units: tuple[str, ...], what: str
) -> core.Count | None:
    if value.unit not in units:
        labels = [at(expr.span, f"{value.count} {value.unit}, and {what} counts {' or '.join(units)}")]
        helps = [f"{value.count} {unit}" for unit in units]
        scope.findings.add("U202", f"{what} cannot be counted in `{value.unit}`", labels, helps=helps)
        return None
    if value.count < 1 and units != ("steps",):
        labels = [at(expr.span, "is not")]
        scope.findings.add("U204", f"{what} must be a whole number, at least 1", labels)
        return None
    return value
