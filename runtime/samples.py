"""Rows of an artifact, or of a live source, become samples: the token ids and numbers that a loss reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.batches import Sample
from ptc.runtime.choosing import counts
from ptc.runtime.loss import Loss
from ptc.runtime.rendering.conversations import prompt_text
from ptc.runtime.rendering.rows import Counts, Rendering
from ptc.runtime.rendering.tables import all_borne, records, rendered_rows
from ptc.runtime.rendering.turns import Fault, Problem, Rendered
from ptc.runtime.tables import column

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def sampled(rows: pa.Table, loss: Loss) -> list[Sample]:
    """One sample per row of completions, with the very tokens that the engine read and wrote."""
    pairs = zip(column(rows, "prompt_tokens"), column(rows, "response_tokens"), strict=True)
    rendered = [[{"response": all_borne(prompt, ids)}] for prompt, ids in pairs]
    return [sample for samples in _samples(rows, loss, rendered) for sample in samples]


def tokenised(
    rows: pa.Table, loss: Loss, tokenizer: PreTrainedTokenizerBase, rendering: Rendering
) -> tuple[list[list[Sample]], Counts]:
    """The samples of each row of texts or messages: one, several where it was split, none where it was dropped.

    A row that an engine wrote keeps its tokens where this tokenizer reads them alike: text does not tell how it was
    tokenised, nor that it was cut off. Raises `InputWrong` for rows on which the loss cannot be computed.
    """
    rendered = rendered_rows(rows, loss.token_columns, tokenizer, rendering, aligned=bool(loss.token_numbers))
    for row, one in enumerate(rendered, start=1):
        if one.problem is not None:
            raise InputWrong(_refusal(one.problem, row, rows))
    return _samples(rows, loss, [list(one.parts) for one in rendered]), Counts.of(rendered)


def by_prompt(rows: pa.Table) -> list[list[int]]:
    """The rows of each prompt: of each `group`, or of each text of a source without groups."""
    grouped = "group" in rows.column_names
    keys = column(rows, "group") if grouped else [prompt_text(record) for record in records(rows)]
    groups: dict[object, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _samples(rows: pa.Table, loss: Loss, rendered: Sequence[Sequence[Any]]) -> list[list[Sample]]:
    """The samples of each row; what else the loss reads of a row is the same for all of its parts."""
    learned = counts(rows)
    numbers = {name: _numbers(rows, name) for name in sorted(loss.numbers)}
    token_numbers = {name: column(rows, name) for name in sorted(loss.token_numbers)}
    return [
        [
            Sample(
                {name: (one.prompt, one.learned) for name, one in part.items()},
                {name: values[row] for name, values in numbers.items()},
                {name: values[row] if learned[row] else () for name, values in token_numbers.items()},
                {name: mask for name, one in part.items() if not all(mask := _borne(one, learned[row]))},
            )
            for part in parts
        ]
        for row, parts in enumerate(rendered)
    ]


def _borne(one: Rendered, learned: bool) -> Sequence[bool]:
    """Which tokens behind the prompt bear loss: none of a row that counts and is not learned from."""
    return one.learned_mask if learned else [False] * len(one.learned_mask)


def _numbers(rows: pa.Table, name: str) -> list[float]:
    values = column(rows, name)
    for row, value in enumerate(values):
        if not isinstance(value, int | float):
            raise InputWrong(f"row {row + 1} has {value!r} for `.{name}`, where the objective needs a number")
    return [float(value) for value in values]


def _refusal(problem: Problem, row: int, rows: pa.Table) -> str:
    if problem.fault is Fault.NO_CONVERSATION:
        return f"row {row} {problem.said}"
    prompt = f" (prompt {column(rows, 'prompt')[row - 1]!r:.62})" if "prompt" in rows.column_names else ""
    if problem.fault is Fault.TOO_LONG:
        return f"row {row} {problem.said}{prompt}"
    return f"row {row}: {problem.said}"
