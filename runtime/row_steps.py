"""Steps from rows to rows, as functions of tables: what nodes do, and what `ptc check --data` does to the rows it drew.

A prompt is known by its text: `prompt_id` is the SHA-256 of it. Its leading 64 bits, as a share of 1, decide to which
slices it belongs, so that slices [0, 0.8) and [0.8, 0.9) have no prompt in common, whatever the seeds of the
generators behind them were. (Row i of seed s of a reasoning-gym task is row i - 1 of seed s + 1.) A slice of a slice
comes here with the share of the whole that it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.choosing import best, best_and_worst, only
from ptc.runtime.expressions import evaluate
from ptc.runtime.guidance import hint, prefix
from ptc.runtime.joining import against, concat, join, mix
from ptc.runtime.overlap import Prompts, matches
from ptc.runtime.remedies import ROW
from ptc.runtime.tables import column, to_array, with_columns

Settings = Mapping[str, Json]
Tables = Mapping[str, pa.Table]
"""The rows that flow in, by the input's name: `rows` where there is one."""
Step = Callable[[Settings, Tables], pa.Table]

PLACE = "$place"
"""A column that numbers rows by where they came from; no program can name it, and every step hands it on."""


def prompts(settings: Settings, tables: Tables) -> pa.Table:
    """The given columns and `prompt_id`, and no other; of rows with one prompt the first is kept."""
    table = tables["rows"]
    values = {name: evaluate(expression, table) for name, expression in settings["columns"].items()}
    for row, prompt in enumerate(values["prompt"]):
        if not prompt or not isinstance(prompt, str | list):
            raise InputWrong(
                f"row {row + 1} has the prompt {prompt!r:.60}, where a text that is not empty is needed: {ROW}"
            )
    values["prompt_id"] = [prompt_id(prompt) for prompt in values["prompt"]]
    if PLACE in table.column_names:
        values[PLACE] = column(table, PLACE)
    made = pa.table({name: to_array(name, items) for name, items in values.items()})
    return made.take(_first_of_each(values["prompt_id"]))


def prompt_id(prompt: str | Sequence[Mapping[str, Any]]) -> str:
    """The identity of a prompt: SHA-256 of its text, in hex. A single user's turn is its text."""
    if not isinstance(prompt, str):
        said = [(turn.get("role"), turn.get("content")) for turn in prompt]
        alone = len(said) == 1 and said[0][0] == "user" and isinstance(said[0][1], str)
        prompt = str(said[0][1]) if alone else json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(prompt.encode()).hexdigest()


def slice_rows(settings: Settings, tables: Tables) -> pa.Table:
    """The rows whose prompt's hash lies in [from, to) of 1: each prompt with all its attempts, or not at all."""
    table = tables["rows"]
    low, high = settings["from"], settings["to"]
    first, behind = _position(low), _position(high)
    kept = [index for index, identity in enumerate(identities(table)) if first <= int(identity[:16], 16) < behind]
    if not kept:
        raise InputWrong(
            f"the slice from {low:.0%} to {high:.0%} of {table.num_rows} rows holds none: take a larger share or source"
        )
    return table.take(kept)


def take(settings: Settings, tables: Tables) -> pa.Table:
    """The first `count` rows by hash of the prompt; attempts at one prompt stay in their order.

    Of texts that ask nothing, which only a watched eval takes a few of, by hash of the text.
    """
    texts = "text" in tables["rows"].column_names and "prompt" not in tables["rows"].column_names
    known = [prompt_id(text) for text in column(tables["rows"], "text")] if texts else identities(tables["rows"])
    order = sorted(range(len(known)), key=lambda index: (known[index], index))
    return tables["rows"].take(order[: settings["count"]])


def respond(settings: Settings, tables: Tables) -> pa.Table:
    """The rows with the given `response`; those for which it is null are refused."""
    table = tables["rows"]
    responses = evaluate(settings["response"], table)
    for row, response in enumerate(responses):
        if not isinstance(response, str | list):
            raise InputWrong(
                f"row {row + 1} of {table.num_rows} has the response {response!r:.60}, where a text is needed: {ROW}"
            )
    return with_columns(table, {"response": responses})


def keep(settings: Settings, tables: Tables) -> pa.Table:
    """The rows for which the condition holds; one that is null (an attempt that could not be judged) does not."""
    table = tables["rows"]
    conditions = evaluate(settings["where"], table)
    kept = [index for index, condition in enumerate(conditions) if condition]
    if not kept:
        raise InputWrong(
            f"keep: none of {table.num_rows} rows fulfils the condition; nothing is left to learn from: ask for less"
        )
    return table.take(kept)


def shuffle(settings: Settings, tables: Tables) -> pa.Table:
    """The rows with the values of one column permuted among them: a control that keeps its distribution."""
    return shuffled(tables["rows"], settings["column"], settings["seed"])


def shuffled(table: pa.Table, name: str, seed: int) -> pa.Table:
    """`table` with the values of column `name` in another order, drawn from `seed`."""
    order = np.random.default_rng(seed).permutation(table.num_rows)
    return with_columns(table, {name: table.column(name).take(pa.array(order)).to_pylist()})


def unique(settings: Settings, tables: Tables) -> pa.Table:
    """Of rows with one value in a column, the first."""
    values = column(tables["rows"], settings["column"])
    return tables["rows"].take(_first_of_each([json.dumps(value, ensure_ascii=False) for value in values]))


def without(settings: Settings, tables: Tables) -> pa.Table:
    """The rows whose prompt the other rows do not ask: not exactly, nor but for case and spacing, nor in words.

    What `ptc check --data` finds between two sources, this takes out.
    """
    rows, vocabulary = tables["rows"], dict[str, int]()
    shared = matches(Prompts(rows, vocabulary), Prompts(tables["other"], vocabulary))
    taken = {match.row for match in shared}
    if len(taken) == rows.num_rows:
        raise InputWrong(
            f"without: all {rows.num_rows} rows have a prompt of the other source; none is "
            "left: take rows from elsewhere"
        )
    return rows.take([row for row in range(rows.num_rows) if row not in taken])


def chat(settings: Settings, tables: Tables) -> pa.Table:
    """The rows with a column `system`: the turn before the prompt."""
    return with_columns(tables["rows"], {"system": evaluate(settings["system"], tables["rows"])})


def split_steps(settings: Settings, tables: Tables) -> pa.Table:
    """The rows with their response cut at a separator, as a list of `steps`; a blank part is none."""
    separator = settings["separator"]
    parts = (text.split(separator) for text in column(tables["rows"], "response"))
    return with_columns(tables["rows"], {"steps": [[part for part in some if part.strip()] for some in parts]})


def from_verl(settings: Settings, tables: Tables) -> pa.Table:
    """verl's layout: the gold answer stands in `reward_model`."""
    rewarded = column(tables["rows"], "reward_model")
    answers = [_spelled(each.get("ground_truth")) if isinstance(each, Mapping) else None for each in rewarded]
    return _adapted(tables["rows"], {"answer": answers}, ("reward_model", "extra_info"))


def from_open_instruct(settings: Settings, tables: Tables) -> pa.Table:
    """open-instruct's layout: `messages` ask, `ground_truth` is the gold answer."""
    rows = tables["rows"]
    answers = [_spelled(answer) for answer in column(rows, "ground_truth")]
    asked = column(rows.select(["messages"]), "prompt")
    return _adapted(rows, {"prompt": asked, "answer": answers}, ("messages", "ground_truth"))


SPEAKERS = {"human": "user", "gpt": "assistant", "system": "system", "tool": "tool", "observation": "tool"}
"""ShareGPT's names of who speaks; one that is not among them is taken as it is."""


def from_sharegpt(settings: Settings, tables: Tables) -> pa.Table:
    """ShareGPT's layout: turns with `from` and `value`."""
    said = column(tables["rows"], "conversations")
    messages = [
        [{"role": SPEAKERS.get(turn["from"], turn["from"]), "content": turn["value"]} for turn in turns]
        for turns in said
    ]
    return with_columns(tables["rows"].drop_columns(["conversations"]), {"messages": messages})


def replay(settings: Settings, tables: Tables) -> pa.Table:
    """Rows that may have been learned from before: the same rows."""
    return tables["rows"]


STEPS: Mapping[str, Step] = {
    "prompts": prompts,
    "slice": slice_rows,
    "take": take,
    "respond": respond,
    "keep": keep,
    "shuffle": shuffle,
    "concat": concat,
    "unique": unique,
    "without": without,
    "chat": chat,
    "split_steps": split_steps,
    "from_verl": from_verl,
    "from_open_instruct": from_open_instruct,
    "from_sharegpt": from_sharegpt,
    "replay": replay,
    "only": only,
    "best": best,
    "best_and_worst": best_and_worst,
    "mix": mix,
    "join": join,
    "hint": hint,
    "prefix": prefix,
    "against": against,
}
"""By kind of node."""


def identities(table: pa.Table) -> list[str]:
    """The identity of each row's prompt. Raises `InputWrong` for rows without prompts."""
    try:
        return [prompt_id(prompt or "") for prompt in column(table, "prompt")]
    except InputWrong as problem:
        if "prompt_id" in table.column_names:
            return column(table, "prompt_id")
        raise InputWrong(
            "rows are divided by their prompts, and these have none yet: put `|> prompts(…)` before"
        ) from problem


def _first_of_each(values: Sequence[str]) -> list[int]:
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        first.setdefault(value, index)
    return list(first.values())


def _adapted(table: pa.Table, written: Mapping[str, Sequence[Any]], taken: Sequence[str]) -> pa.Table:
    """The rows with columns under this language's names, without those that they were made of, and with `prompt_id`."""
    rows = with_columns(table, written)
    identified = with_columns(rows, {"prompt_id": [prompt_id(prompt or "") for prompt in column(rows, "prompt")]})
    return identified.drop_columns([name for name in taken if name in identified.column_names])


def _spelled(answer: Json) -> str | None:
    return answer if isinstance(answer, str | None) else json.dumps(answer, ensure_ascii=False)


def _position(share: float) -> int:
    """The first of the 2**64 leading parts of an identity that is not below a share of 1."""
    return ceil(Fraction(share) * (1 << 64))
