"""Rows for a source that nobody can look into: texts, numbers and turns that are made up, by the names of columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.tables import from_records

NUMBERS = ("answer", "ground_truth", "final_answer", "solution", "target", "label")
"""Columns that hold a short answer wherever their type is not known."""


def rows_of(columns: Mapping[str, str], count: int) -> pa.Table:
    """So many rows with these columns, whose types are ``Text``, ``Real``, ``Bool``, ``Messages``, ``List`` or ""."""
    records = [{name: value_of(name, kind, row) for name, kind in columns.items()} for row in range(count)]
    return from_records(records, list(columns))


def value_of(name: str, kind: str, row: int) -> Json:
    """What stands in a column of a row: the same for the same names, and no two rows alike."""
    first, second = 11 + 7 * row % 83, 3 + 5 * row % 37
    question, result = f"What is {first} plus {second}, asked in {name} number {row + 1}?", first + second
    match kind or NESTED.get(name, ""):
        case "Real":
            return float(result)
        case "Bool":
            return row % 2 == 0
        case "List":
            return [f"It is {first} and {second}.", f"So it is {result}."]
        case "Messages":
            return _turns(question, result, answered=name != "prompt")
        case "sharegpt":
            return [{"from": "human", "value": question}, {"from": "gpt", "value": f"It is {result}."}]
        case "verl":
            return {"ground_truth": str(result)}
    if name in NUMBERS:
        return str(result)
    spoken = name in ("response", "chosen", "rejected", "text")
    return (
        f"It is {result}, {'I guess' if name == 'rejected' else 'and here is why'} ({row + 1})." if spoken else question
    )


NESTED = {"messages": "Messages", "conversations": "sharegpt", "reward_model": "verl"}
"""Columns that are no plain text wherever their type is not known."""


def _turns(question: str, result: int, answered: bool) -> list[dict[str, Any]]:
    asked = [{"role": "user", "content": question}]
    return [*asked, {"role": "assistant", "content": f"It is {result}."}] if answered else asked
