"""Expressions over the columns of a row, as a graph holds them."""

from __future__ import annotations

from typing import Any


def column(name: str) -> dict[str, Any]:
    return {"op": "column", "name": name}


def constant(value: Any) -> dict[str, Any]:
    return {"op": "constant", "value": value}


def op(name: str, *args: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"op": name, "args": list(args), **more}
