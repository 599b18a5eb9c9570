"""Rows of an artifact, or of a live source, become samples: the token ids and numbers that a loss reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.batches import Sample, TokenIds
from ptc.runtime.choosing import counts
from ptc.runtime.loss import Loss
from ptc.runtime.render import render_prompts
from ptc.runtime.rendering.conversations import prompt_text
from ptc.runtime.rendering.rows import Counts, RenderedRow, Rendering, render_rows, sides_of
from ptc.runtime.rendering.template import decode_all
from ptc.runtime.rendering.turns import Fault, Problem, Rendered
from ptc.runtime.rollouts import prompts_of
from ptc.runtime.tables import column

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

READ = ("prompt", "response", "completion", "messages", "chosen", "rejected", "text", "tools", "system")
"""The columns that hold what a model reads or writes."""


def sampled(rows: pa.Table, loss: Loss) -> list[Sample]:
    """One sample per row of completions, with the very tokens that the engine read and wrote."""
    pairs = zip(column(rows, "prompt_tokens"), column(rows, "response_tokens"), strict=True)
    rendered = [[{"response": _all_borne(prompt, ids)}] for prompt, ids in pairs]
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


def rendered_rows(
    rows: pa.Table,
    columns: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    rendering: Rendering,
    aligned: bool = False,
) -> list[RenderedRow]:
    """What becomes of each row. `aligned`: other columns have one number per token, so that an engine's own tokens
    must be used."""
    sides = [sides_of(row, columns) for row in records(rows)]
    own = _own_tokens(rows, tokenizer) if "response" in columns else [None] * rows.num_rows
    if aligned and None in own:
        raise InputWrong(
            f"row {own.index(None) + 1} was sampled under another tokenizer or chat template: its log-probabilities "
            "do not belong to this model's tokens"
        )
    strange = [one for one, kept in zip(sides, own, strict=True) if kept is None]
    foreign = iter(render_rows(tokenizer, strange, rendering))
    return [next(foreign) if kept is None else _kept(kept, rendering) for kept in own]


def records(rows: pa.Table) -> list[dict[str, Any]]:
    """What a model reads and writes, row by row."""
    found: list[dict[str, Any]] = rows.select([name for name in READ if name in rows.column_names]).to_pylist()
    return found


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


def _all_borne(prompt: TokenIds, ids: TokenIds) -> Rendered:
    return Rendered((*prompt, *ids), (*(False for _ in prompt), *(True for _ in ids)))


def _kept(tokens: Rendered, rendering: Rendering) -> RenderedRow:
    """A row with its own tokens, which nothing can be cut from: what was sampled stands behind all of it."""
    length, limit = len(tokens.tokens), rendering.max_length
    if limit is None or length <= limit:
        return RenderedRow(({"response": tokens},), length=length)
    if rendering.truncate == "drop":
        return RenderedRow(length=length)
    said = f"has {length} tokens, more than max_length = {limit}: raise max_length, or keep shorter rows"
    return RenderedRow(problem=Problem(Fault.TOO_LONG, said), length=length)


def _refusal(problem: Problem, row: int, rows: pa.Table) -> str:
    if problem.fault is Fault.NO_CONVERSATION:
        return f"row {row} {problem.said}"
    prompt = f" (prompt {column(rows, 'prompt')[row - 1]!r:.62})" if "prompt" in rows.column_names else ""
    if problem.fault is Fault.TOO_LONG:
        return f"row {row} {problem.said}{prompt}"
    return f"row {row}: {problem.said}"


def _own_tokens(rows: pa.Table, tokenizer: PreTrainedTokenizerBase) -> list[Rendered | None]:
    """The tokens of each row's response, or None where it has none that mean the same to this tokenizer."""
    if not {"prompt", "response", "prompt_tokens", "response_tokens"} <= set(rows.column_names):
        return [None] * rows.num_rows
    rendered = render_prompts(tokenizer, prompts_of(rows))
    prompts, responses, texts = (column(rows, name) for name in ("prompt_tokens", "response_tokens", "response"))
    decoded = decode_all(tokenizer, [tokens or [] for tokens in responses])
    return [
        _all_borne(prompt, response) if prompt == list(read) and response is not None and spelled == text else None
        for prompt, read, response, spelled, text in zip(prompts, rendered, responses, decoded, texts, strict=True)
    ]
