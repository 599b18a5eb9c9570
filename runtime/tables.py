"""Rows on disk: Parquet whose bytes depend on nothing but the rows and the version of pyarrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ptc.runtime.artifacts import Artifact, InputWrong
from ptc.runtime.conventions import implied

ROWS_FILE = "rows.parquet"
COUNTS_FILE = "counts.parquet"


def read_rows(artifact: Artifact) -> pa.Table:
    """The rows of an artifact of type `rows`."""
    return read_table(artifact.path / ROWS_FILE)


def write_rows(table: pa.Table, folder: Path) -> None:
    """Writes the one file of an artifact of type `rows`. Raises `InputWrong` if there are no rows."""
    if table.num_rows == 0:
        raise InputWrong("no rows are left: ask for less in the steps before")
    write_table(table, folder / ROWS_FILE)


def read_table(path: Path) -> pa.Table:
    return pq.read_table(path, use_threads=False)


def write_table(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", row_group_size=16_384)


def column(table: pa.Table, name: str) -> list[Any]:
    """A column as Python values, under a name that it has by convention too.

    Raises `InputWrong` naming the columns that are there.
    """
    if name not in table.column_names:
        found = implied(table, name)
        if found is not None:
            return found
        raise InputWrong(
            f"the rows have no column `.{name}`; they have {_listed(table.column_names)}: name one of these"
        )
    values: list[Any] = table.column(name).to_pylist()
    return values


def with_columns(table: pa.Table, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """The table with these columns, in place of those of their names or behind the others."""
    for name, values in columns.items():
        table = _with_column(table, name, to_array(name, values))
    return table


def to_array(name: str, values: Sequence[Any]) -> pa.Array:
    """Values as one column, an array as it is; without any value, one of texts.

    Raises `InputWrong` if their types do not agree.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as problem:
        raise InputWrong(
            f"the values of column `.{name}` are of several types ({problem}): give all rows one type"
        ) from problem
    if _has_empty_struct(array.type):  # which Parquet cannot hold: an object without any field says as much as none
        return to_array(name, [_without_empty(value) for value in values])
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


def _has_empty_struct(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_has_empty_struct(field.type) for field in kind)
    return pa.types.is_list(kind) and _has_empty_struct(kind.value_type)


def _without_empty(value: Any) -> Any:
    """A value with null in the place of every object that has no field, or only such."""
    if isinstance(value, list):
        return [_without_empty(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _without_empty(each) for key, each in value.items()} or None
    return value


def from_records(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> pa.Table:
    """Rows given one by one; a field that a record lacks is null."""
    return pa.table({name: to_array(name, [record.get(name) for record in records]) for name in names})


def _with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, values)
    return table.append_column(name, values)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`.{name}`" for name in names)
