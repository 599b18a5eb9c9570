"""Rows in a smoke run: a few that stand for those from outside, and filters that always leave some."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context, InputWrong, ResourceMissing
from ptc.runtime.choosing import best_and_worst as pairs
from ptc.runtime.choosing import counting
from ptc.runtime.nodes import implementation, sources
from ptc.runtime.row_steps import STEPS
from ptc.runtime.smoke import MARK, ROWS, Outside
from ptc.runtime.smoke.made_up import rows_of
from ptc.runtime.tables import from_records, read_rows, with_columns, write_rows

LEAST = 2
"""Rows that a filter leaves, whatever it says of them."""


def from_outside(outside: Outside, node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The first rows of the file that stands for a source, or made-up ones with the columns that the program reads."""
    place, columns = outside.place(node), outside.columns.get(node.settings[MARK], {})
    if place is not None:
        write_rows(first_rows(place), out)
    elif "stand_in" in node.settings and columns:
        write_rows(rows_of(columns, ROWS), out)
    elif node.kind == "extern_source":
        implementation(node.kind)(node, inputs, out, context)
        write_rows(read_rows(Artifact("", out, {})).slice(0, ROWS), out)
    else:
        raise ResourceMissing(
            f"nothing here says what the rows of `{node.settings['name']}` are like: put some into "
            f"stand_ins/datasets/{node.settings['name']}.jsonl beside the program"
        )


def file(outside: Outside, node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The first rows of the program's own file."""
    path = Path(node.settings["path"])
    if node.settings["format"] == "parquet" or not path.is_file():
        sources.file(node, inputs, out, context)
        write_rows(read_rows(Artifact("", out, {})).slice(0, ROWS), out)
    else:
        write_rows(first_rows(path), out)


def first_rows(path: Path) -> pa.Table:
    """The first rows of a JSON Lines file."""
    records = [record for _, record in itertools.islice(sources.json_objects(path), ROWS)]
    names = dict.fromkeys(name for record in records for name in record)
    return sources.plain(from_records(records, list(names)))


# Filters --------------------------------------------------------------------------------------------------------------


def some_left(outside: Outside, node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """What the step leaves, and where that are too few to go on with, others of its rows besides."""
    tables = {name: read_rows(artifact) for name, artifact in inputs.items()}
    rows = tables["rows"]
    numbered = {**tables, "rows": with_columns(rows, {NUMBER: range(rows.num_rows)})}
    try:
        kept = STEPS[node.kind](node.settings, numbered).column(NUMBER).to_pylist()
    except InputWrong as problem:
        _went_on(outside, node, str(problem))
        kept = []
    if len(kept) < LEAST:
        others = [row for row in range(rows.num_rows) if row not in kept]
        kept = sorted([*kept, *others[: LEAST - len(kept)]])
    write_rows(rows.take(kept), out)


NUMBER = "$number"
"""A column that numbers the rows that go into a filter; no program can name it."""


def only(outside: Outside, node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The rows that are learned from, and where that is none, all of them."""
    tables = {name: read_rows(artifact) for name, artifact in inputs.items()}
    try:
        made = STEPS["only"](node.settings, tables)
    except InputWrong as problem:
        _went_on(outside, node, str(problem))
        made = counting(tables["rows"], [True] * tables["rows"].num_rows)
    write_rows(made, out)


def best(outside: Outside, node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The best of each group, and where nobody could judge, its first."""
    rows = read_rows(inputs["rows"])
    try:
        made = STEPS["best"](node.settings, {"rows": rows})
    except InputWrong as problem:
        _went_on(outside, node, str(problem))
        made = STEPS["best"](node.settings, {"rows": _ranked_by_place(rows)})
    write_rows(made, out)


def best_and_worst(outside: Outside, node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """A pair of each group whose rewards differ; where they do in none, the first and the last of each."""
    rows = read_rows(inputs["rows"])
    try:
        made = pairs(node.settings, {"rows": rows})
    except InputWrong as problem:
        _went_on(outside, node, str(problem))
        made = pairs(node.settings, {"rows": _ranked_by_place(rows)})
    write_rows(made, out)


def _ranked_by_place(rows: pa.Table) -> pa.Table:
    """The rows with rewards that fall from attempt to attempt."""
    rewards: list[Any] = [1.0 / (1 + row) for row in range(rows.num_rows)]
    return with_columns(rows, {"reward": rewards})


def _went_on(outside: Outside, node: Node, problem: str) -> None:
    what = problem.removeprefix(f"{node.kind}: ")
    outside.say(f"{node.label or node.kind}: {what}; a smoke run goes on with some of them")
