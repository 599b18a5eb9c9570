"""From rows to rows: `prompts`, `slice`, `take`, `respond`, `keep`, `shuffle`, `concat`.

A prompt is known by its text: `prompt_id` is the SHA-256 of it. Its leading 64 bits, as a share of 1, decide to which
slices it belongs, so that slices [0, 0.8) and [0.8, 0.9) have no prompt in common, whatever the seeds of the
generators behind them were. (Row i of seed s of a reasoning-gym task is row i - 1 of seed s + 1.) A slice of a slice
comes here with the share of the whole that it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context, InputWrong
from ptc.runtime.expressions import evaluate
from ptc.runtime.tables import column, read_rows, to_array, with_columns, write_rows


def prompts(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The given columns and `prompt_id`, and no other; of rows with one prompt the first is kept."""
    table = read_rows(inputs["rows"])
    values = {name: evaluate(expression, table) for name, expression in node.settings["columns"].items()}
    for row, prompt in enumerate(values["prompt"]):
        if not isinstance(prompt, str) or not prompt:
            raise InputWrong(f"row {row + 1} has the prompt {prompt!r}: a prompt is a text that is not empty")
    values["prompt_id"] = [prompt_id(prompt) for prompt in values["prompt"]]
    made = pa.table({name: to_array(name, items) for name, items in values.items()})
    write_rows(made.take(_first_of_each(values["prompt"])), out)


def prompt_id(prompt: str) -> str:
    """The identity of a prompt: SHA-256 of its text, in hex."""
    return hashlib.sha256(prompt.encode()).hexdigest()


def slice_rows(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The rows whose prompt's hash lies in [from, to) of 1: each prompt with all its attempts, or not at all."""
    table = read_rows(inputs["rows"])
    low, high = node.settings["from"], node.settings["to"]
    first, behind = _position(low), _position(high)
    kept = [index for index, identity in enumerate(_identities(table)) if first <= int(identity[:16], 16) < behind]
    if not kept:
        raise InputWrong(
            f"the slice from {low:.0%} to {high:.0%} of {table.num_rows} rows holds none: take a larger share or source"
        )
    write_rows(table.take(kept), out)


def take(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The first `count` rows by hash of the prompt; attempts at one prompt stay in their order."""
    table = read_rows(inputs["rows"])
    identities = _identities(table)
    order = sorted(range(table.num_rows), key=lambda index: (identities[index], index))
    write_rows(table.take(order[: node.settings["count"]]), out)


def respond(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The rows with the given `response`; those for which it is null are refused."""
    table = read_rows(inputs["rows"])
    responses = evaluate(node.settings["response"], table)
    for row, response in enumerate(responses):
        if not isinstance(response, str):
            raise InputWrong(f"row {row + 1} of {table.num_rows} has the response {response!r}: a response is a text")
    write_rows(with_columns(table, {"response": responses}), out)


def keep(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The rows for which the condition holds; one that is null (an attempt that could not be judged) does not."""
    table = read_rows(inputs["rows"])
    conditions = evaluate(node.settings["where"], table)
    kept = [index for index, condition in enumerate(conditions) if condition]
    if not kept:
        raise InputWrong(f"keep: none of {table.num_rows} rows fulfils the condition; nothing is left to learn from")
    write_rows(table.take(kept), out)


def shuffle(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The rows with the values of one column permuted among them: a control that keeps its distribution."""
    table = read_rows(inputs["rows"])
    write_rows(shuffled(table, node.settings["column"], node.settings["seed"]), out)


def shuffled(table: pa.Table, name: str, seed: int) -> pa.Table:
    """`table` with the values of column `name` in another order, drawn from `seed`."""
    order = np.random.default_rng(seed).permutation(table.num_rows)
    return with_columns(table, {name: table.column(name).take(pa.array(order)).to_pylist()})


def concat(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """All rows of input `0`, then of `1`, …; a column that only some have is null elsewhere."""
    tables = [read_rows(inputs[name]) for name in sorted(inputs, key=int)]
    try:
        table = pa.concat_tables(_renumbered(tables), promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as problem:
        raise InputWrong(f"the sources cannot be joined: a column is of two types ({problem})") from problem
    write_rows(table.combine_chunks(), out)


def _renumbered(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """`group` numbers prompts within one source: those of a later one count on."""
    result, offset = [], 0
    for table in tables:
        if "group" in table.column_names:
            groups = column(table, "group")
            result.append(with_columns(table, {"group": [group + offset for group in groups]}))
            offset += max(groups) + 1
        else:
            result.append(table)
    return result


def _first_of_each(values: Sequence[str]) -> list[int]:
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        first.setdefault(value, index)
    return list(first.values())


def _identities(table: pa.Table) -> list[str]:
    if "prompt_id" not in table.column_names:
        raise InputWrong("rows are divided by their prompts, and these have none yet: put `|> prompts(…)` before")
    return column(table, "prompt_id")


def _position(share: float) -> int:
    """The first of the 2**64 leading parts of an identity that is not below a share of 1."""
    return ceil(Fraction(share) * (1 << 64))
