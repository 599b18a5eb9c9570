"""Row expressions: what `prompts`, `respond` and `keep` compute, one value per row.

An expression is a tree of JSON (`docs/graph.md`, Expressions) and a value a list with one item per row. A null makes
everything it touches null; a row whose condition is null is not kept.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from difflib import SequenceMatcher
from statistics import fmean
from typing import Any

import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.tables import column

Values = list[Any]
PARTNER = "$partner."
"""Begins the names of columns that a `join` brought: lists, with one item for each of the partner's attempts."""


def evaluate(expression: Json, rows: pa.Table) -> Values:
    """The expression's value for each row. Raises `InputWrong` naming the operation and the row that it cannot take."""
    op = expression["op"]
    if op == "column":
        return column(rows, expression["name"])
    if op == "constant":
        return [expression["value"]] * rows.num_rows
    if "over" in expression:
        return _over_attempts(expression, rows)
    arguments = [evaluate(argument, rows) for argument in expression["args"]]
    return _pointwise(op, _OPERATIONS[op], arguments)


def _over_attempts(expression: Json, rows: pa.Table) -> Values:
    """``max(.reward, over = group)``: one value for all attempts at a prompt, without those that have none. Of joined
    rows the attempts are the partner's."""
    joined = expression.get("of") == "partner"
    attempts, groups = _of_partner(rows) if joined else (rows, column(rows, "group"))
    values = evaluate(expression["args"][0], attempts) if expression["args"] else [True] * len(groups)
    known: dict[Any, Values] = {}
    for group, value in zip(groups, values, strict=True):
        known.setdefault(group, []).extend([] if value is None else [value])
    reduced = {group: _REDUCTIONS[expression["op"]](own) if own else None for group, own in known.items()}
    return [reduced[group] for group in (range(rows.num_rows) if joined else groups)]


def _of_partner(rows: pa.Table) -> tuple[pa.Table, list[int]]:
    """The partner's attempts one by one, and the row that each belongs to."""
    lists = {name.removeprefix(PARTNER): column(rows, name) for name in rows.column_names if name.startswith(PARTNER)}
    owners = [row for row, items in enumerate(next(iter(lists.values()))) for _ in items]
    return pa.table({name: [item for items in values for item in items] for name, values in lists.items()}), owners


def columns_of(expression: Json) -> frozenset[str]:
    """Names of the columns that an expression reads."""
    if expression["op"] == "column":
        return frozenset({expression["name"]})
    return frozenset().union(*(columns_of(argument) for argument in expression.get("args", ())))


def _pointwise(op: str, function: Callable[..., Any], arguments: list[Values]) -> Values:
    values: Values = []
    for row, items in enumerate(zip(*arguments, strict=True)):
        if None in items:
            values.append(None)
            continue
        try:
            values.append(function(*items))
        except (TypeError, AttributeError, ZeroDivisionError, OverflowError) as problem:
            shown = ", ".join(repr(item) for item in items)
            raise InputWrong(
                f"row {row + 1}: `{op}` cannot be taken of {shown[:120]} ({problem}): mend the row, or leave it out "
                "with `keep` before"
            ) from problem
    return values


def _after(text: str, marker: str) -> str | None:
    """What follows the last `marker`; null where there is none."""
    _before, found, rest = text.rpartition(marker)
    return rest if found else None


def _reverse(text: str) -> str:
    return text[::-1] if isinstance(text, str) else _no_text(text)


def _concat(*parts: Any) -> str:
    return "".join(part if isinstance(part, str) else _spelled(part) for part in parts)


def _spelled(value: Any) -> str:
    """A number as one writes it; what has parts, such as the choices of a question, as JSON."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("neither a text nor a number")
    return str(int(value)) if float(value).is_integer() else repr(value)


def _number(text: str) -> float | None:
    """The number that a text spells, with separators of thousands or not; null where it spells none."""
    try:
        return float(text.strip().replace(",", ""))
    except ValueError:
        return None


def _no_text(value: Any) -> str:
    raise TypeError(f"{type(value).__name__} is no text")


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def both(left: Any, right: Any) -> bool:
        if isinstance(left, str) != isinstance(right, str):
            raise TypeError("a text and a number have no order")
        return compare(left, right)

    return both


def _logical(combine: Callable[[bool, bool], bool]) -> Callable[..., bool]:
    def over(*items: bool) -> bool:
        result = items[0]
        for item in items[1:]:
            result = combine(result, item)
        return result

    return over


_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": _ordered(operator.lt),
    "le": _ordered(operator.le),
    "gt": _ordered(operator.gt),
    "ge": _ordered(operator.ge),
    "and": _logical(lambda left, right: bool(left and right)),
    "or": _logical(lambda left, right: bool(left or right)),
    "not": operator.not_,
    "reverse": _reverse,
    "concat": _concat,
    "after": _after,
    "strip": str.strip,
    "lower": str.lower,
    "length": len,
    "before": lambda text, marker: text.partition(marker)[0] if marker in text else None,
    "replace": str.replace,
    "contains": lambda text, part: part in text,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "distance": lambda one, other: 1 - SequenceMatcher(None, one, other, autojunk=False).ratio(),
    "number": lambda text: _number(text),
}
_REDUCTIONS: Mapping[str, Callable[[Values], Any]] = {
    "max": max,
    "min": min,
    "sum": sum,
    "mean": fmean,
    "count": lambda values: sum(map(bool, values)),
}
