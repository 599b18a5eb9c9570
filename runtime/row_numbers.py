"""The numbers that a loss reads of rows, each looked at: what is missing is not 0, and a label is true or false."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.remedies import ROW
from ptc.runtime.tables import column


def numbers(rows: pa.Table, name: str, condition: bool) -> list[float]:
    """One number per row. Raises `InputWrong` for a row that has none."""
    return [_number(value, row, name, condition) for row, value in enumerate(column(rows, name), start=1)]


def lists_of_numbers(rows: pa.Table, name: str, condition: bool) -> list[list[float]]:
    """A list of numbers per row, of its tokens or its steps. Raises `InputWrong` for a row that has none."""
    found = []
    for row, values in enumerate(column(rows, name), start=1):
        if not isinstance(values, Sequence) or isinstance(values, str):
            raise InputWrong(f"row {row} has {values!r:.60} for `.{name}`, where the objective needs a list: {ROW}")
        found.append([_number(value, row, name, condition) for value in values])
    return found


def agree(row: int, name: str, found: int, wanted: int, what: str) -> None:
    """Raises `InputWrong` for a row whose list is not as long as that to which it belongs."""
    if found != wanted:
        raise InputWrong(f"row {row} has {found} numbers in `.{name}` for {wanted} {what}: {ROW}")


def _number(value: Any, row: int, name: str, condition: bool) -> float:
    if condition:
        if value not in (0, 1):
            raise InputWrong(
                f"row {row} has {value!r:.60} for `.{name}`, where the objective needs true or false: {ROW}"
            )
    elif not isinstance(value, int | float) or not math.isfinite(value):
        raise InputWrong(f"row {row} has {value!r:.60} for `.{name}`, where the objective needs a number: {ROW}")
    return float(value)
