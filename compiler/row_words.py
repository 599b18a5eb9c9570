"""Row expressions in words: ``reward = 1`` as a reader would say it, ``.reward == 1`` as a program does."""

from __future__ import annotations

from ptc.compiler.graph import Json

STRENGTH = {
    "or": 1,
    "and": 2,
    "not": 3,
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), 4),
    "add": 5,
    "sub": 5,
    "mul": 6,
    "div": 6,
    "neg": 7,
}
"""How tightly operations bind; what is not among them stands for itself."""


def in_words(document: Json, dotted: bool = False) -> str:
    """A row expression as a reader would say it, ``reward = 1``; `dotted`: as a program does, ``.reward == 1``."""
    signs = {"eq": "==" if dotted else "=", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
    signs |= {"and": "and", "or": "or", "add": "+", "sub": "-", "mul": "*", "div": "/"}
    match document["op"]:
        case "column":
            return f".{document['name']}" if dotted else str(document["name"])
        case "constant":
            value = document["value"]
            return f'"{value}"' if dotted and isinstance(value, str) else _spelled(value)
        case op if op in signs:
            left, right = (_side(arg, op, dotted) for arg in document["args"])
            return f"{left} {signs[op]} {right}"
        case "not" | "neg" as op:
            (operand,) = document["args"]
            return f"{'not ' if op == 'not' else '-'}{_side(operand, op, dotted)}"
        case op:
            args = [in_words(arg, dotted) for arg in document["args"]]
            over = ["over = group"] if document.get("over") else []
            return f"{op}({', '.join([*args, *over])})"


def _side(document: Json, op: str, dotted: bool) -> str:
    """One side of an operation, in parentheses where it would be read as part of it."""
    words = in_words(document, dotted)
    own = STRENGTH.get(document["op"], 9)
    return words if own > STRENGTH[op] or document["op"] == op in ("and", "or", "add", "mul") else f"({words})"


def _spelled(value: Json) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
