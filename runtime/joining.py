"""Steps that bring sources together: `concat`, `mix`, `join`, `against`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.choosing import without_attempts
from ptc.runtime.expressions import PARTNER
from ptc.runtime.tables import column, with_columns

TURNS = {"prompt": "user", "response": "assistant", "chosen": "assistant", "rejected": "assistant"}
"""Who speaks in a column that is a text."""


def concat(settings: Mapping[str, Json], tables: Mapping[str, pa.Table]) -> pa.Table:
    """All rows of input `0`, then of `1`, …; a column that only some have is null elsewhere."""
    return together([tables[name] for name in sorted(tables, key=int)])


def mix(settings: Mapping[str, Json], tables: Mapping[str, pa.Table]) -> pa.Table:
    """Rows of all sources in the given shares: as many as there are without using one twice, in a drawn order."""
    parts = list(zip((tables[name] for name in sorted(tables, key=int)), settings["weights"], strict=True))
    rng = np.random.default_rng(settings["seed"])
    total = min(table.num_rows / weight for table, weight in parts if weight > 0)
    drawn = [table.take(np.sort(rng.permutation(table.num_rows)[: round(total * weight)])) for table, weight in parts]
    whole = together([part for part in drawn if part.num_rows])
    return whole.take(rng.permutation(whole.num_rows))


def join(settings: Mapping[str, Json], tables: Mapping[str, pa.Table]) -> pa.Table:
    """The rows whose value in a column the partner has; each with the partner's attempts, for `over = group`."""
    partner, on = tables["partner"], settings["on"]
    found = joined(tables["rows"], partner, on)
    if not found.num_rows:
        raise InputWrong(
            f"join: no row has the `.{on}` of any of the {partner.num_rows} attempts: make both from the same prompts"
        )
    return found


def joined(table: pa.Table, partner: pa.Table, on: str) -> pa.Table:
    """`join`, of which nothing may be left."""
    attempts: dict[str, list[int]] = defaultdict(list)
    for row, value in enumerate(column(partner, on)):
        attempts[_key(value)].append(row)
    keys = [_key(value) for value in column(table, on)]
    kept = [row for row, key in enumerate(keys) if key in attempts]
    found = [attempts[keys[row]] for row in kept]
    names = [name for name in partner.column_names if not name.startswith("$")]
    return with_columns(
        table.take(pa.array(kept, pa.int64())),
        {f"{PARTNER}{name}": _gathered(column(partner, name), found) for name in names},
    )


def against(settings: Mapping[str, Json], tables: Mapping[str, pa.Table]) -> pa.Table:
    """A pair for each row whose prompt the other source has: `chosen` is the row's response, `rejected` the other's."""
    table, other = tables["rows"], tables["other"]
    theirs: dict[str, list[Any]] = defaultdict(list)
    for prompt, response in zip(column(other, "prompt"), column(other, "response"), strict=True):
        theirs[_key(prompt)].append(response)
    pairs: list[tuple[int, Any]] = []
    for row, prompt in enumerate(column(table, "prompt")):
        waiting = theirs.get(_key(prompt))
        if waiting:
            pairs.append((row, waiting.pop(0)))
    if not pairs:
        raise InputWrong("against: the two sources have no prompt in common: make both from the same prompts")
    responses = column(table, "response")
    made = {"chosen": [responses[row] for row, _ in pairs], "rejected": [response for _, response in pairs]}
    return with_columns(without_attempts(table).take([row for row, _ in pairs]), made)


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """All rows of several tables, their groups told apart; a column that only some have is null elsewhere."""
    try:
        table = pa.concat_tables(_alike(_renumbered(tables)), promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as problem:
        raise InputWrong(
            f"the sources cannot be joined: a column is of two types ({problem}): give it one, or leave it out, with "
            "`prompts`"
        ) from problem
    return table.combine_chunks()


def _alike(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """What is a text here and a list of messages there is a list of messages everywhere."""
    mixed = [name for name in TURNS if {True, False} <= {_is_text(table, name) for table in tables}]
    return [
        with_columns(table, {name: _as_turns(table, name) for name in mixed if _is_text(table, name)})
        for table in tables
    ]


def _is_text(table: pa.Table, name: str) -> bool | None:
    """Whether a column holds texts, and not turns; None where it is not there."""
    if name not in table.column_names:
        return None
    kind = table.schema.field(name).type
    return bool(pa.types.is_string(kind)) if pa.types.is_string(kind) or pa.types.is_list(kind) else None


def _as_turns(table: pa.Table, name: str) -> list[list[dict[str, str]] | None]:
    texts = column(table, name)
    return [None if text is None else [{"role": TURNS[name], "content": text}] for text in texts]


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


def _gathered(values: Sequence[Any], rows: Sequence[Sequence[int]]) -> list[list[Any]]:
    return [[values[row] for row in group] for group in rows]


def _key(value: Any) -> str:
    """A value by which rows are told apart: a text, or a list of messages."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
