"""Steps that choose among the attempts at a prompt: `only`, `best`, `best_and_worst`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.expressions import evaluate
from ptc.runtime.tables import column, with_columns

COUNTS = "$counts"
"""Column that `only` writes: whether a row is learned from. A row that is not still counts as one."""
OF_AN_ATTEMPT = (
    *("response", "group", "attempt", "prompt_tokens", "response_tokens", "logprobs", "finished"),
    *("reward", "verdict", "steps"),
)
"""Columns that differ between the attempts at one prompt."""
_TOKENS = {"prompt_tokens", "response_tokens"}


def only(settings: Mapping[str, Json], tables: Mapping[str, pa.Table]) -> pa.Table:
    """All rows, and which of them are learned from: those for which the condition holds."""
    table = tables["rows"]
    counted = counting(table, evaluate(settings["where"], table))
    if not any(column(counted, COUNTS)):
        raise InputWrong(
            f"only: none of {table.num_rows} rows fulfils the condition; nothing is left to learn from: ask for less"
        )
    return counted


def counting(table: pa.Table, conditions: Sequence[Any]) -> pa.Table:
    """The table with a mark on the rows that are learned from: those that had it, and for which the condition holds."""
    marks = [bool(condition) and so_far for condition, so_far in zip(conditions, counts(table), strict=True)]
    return with_columns(table, {COUNTS: marks})


def counts(table: pa.Table) -> list[bool]:
    """Whether each row is learned from."""
    marks = column(table, COUNTS) if COUNTS in table.column_names else [True] * table.num_rows
    return [mark is not False for mark in marks]


def best(settings: Mapping[str, Json], tables: Mapping[str, pa.Table]) -> pa.Table:
    """The `k` attempts of each group with the highest rewards, the earlier of equals; in their order."""
    kept = best_of(tables["rows"], settings["k"])
    if not kept.num_rows:
        raise InputWrong(
            f"best: none of {tables['rows'].num_rows} attempts could be judged; nothing is left: "
            "see what the verifier says with `ptc check --data`"
        )
    return kept


def best_of(table: pa.Table, k: int) -> pa.Table:
    """The `k` best rows of each group; nothing of one that nobody could judge."""
    return table.take(pa.array(sorted(row for rows in _ranked(table) for row in rows[:k]), pa.int64()))


def with_spread(table: pa.Table) -> pa.Table:
    """The groups of several attempts whose rewards are not all equal: the others tell a comparison nothing."""
    rewards: dict[object, set[float]] = defaultdict(set)
    groups = column(table, "group")
    for group, reward in zip(groups, column(table, "reward"), strict=True):
        rewards[group].add(reward)
    return table.filter(pa.array([len(rewards[group]) > 1 for group in groups], pa.bool_()))


def best_and_worst(settings: Mapping[str, Json], tables: Mapping[str, pa.Table]) -> pa.Table:
    """A pair for each group whose rewards differ: `chosen` has the highest, `rejected` the lowest."""
    pairs = pairs_of(tables["rows"])
    if not pairs.num_rows:
        raise InputWrong(
            "best_and_worst: in no group do the rewards differ; there is nothing to prefer: sample "
            "more attempts, or other prompts"
        )
    return pairs


def pairs_of(table: pa.Table) -> pa.Table:
    """`best_and_worst`, of which nothing may be left. Attempts that an engine wrote keep their tokens."""
    rewards = column(table, "reward")
    ranked = [rows for rows in _ranked(table) if rewards[rows[0]] > rewards[rows[-1]]]
    sides = {
        side: pa.array([rows[end] for rows in ranked], pa.int64()) for side, end in (("chosen", 0), ("rejected", -1))
    }
    pairs = without_attempts(table).take(sides["chosen"])
    if set(table.column_names) >= _TOKENS:
        pairs = with_columns(pairs, {"prompt_tokens": table.column("prompt_tokens").take(sides["chosen"])})
    written = ["response", *(["response_tokens"] if set(table.column_names) >= _TOKENS else [])]
    for side, rows in sides.items():
        made = {name.replace("response", side): table.column(name).take(rows) for name in written}
        pairs = with_columns(pairs, {**made, f"{side}_reward": table.column("reward").take(rows)})
    return pairs


def without_attempts(table: pa.Table) -> pa.Table:
    """What is the same for all attempts at a prompt."""
    return table.drop_columns([name for name in OF_AN_ATTEMPT if name in table.column_names])


def _ranked(table: pa.Table) -> list[list[int]]:
    """The judged rows of each group from the highest reward to the lowest, the earlier of equals first."""
    rewards = column(table, "reward")
    groups: dict[Any, list[int]] = defaultdict(list)
    for row, group in enumerate(column(table, "group")):
        if rewards[row] is not None:
            groups[group].append(row)
    return [sorted(rows, key=lambda row: -rewards[row]) for rows in groups.values()]
