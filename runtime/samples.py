"""Rows of an artifact, or of a live source, become samples: the token ids and numbers that a loss reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.batches import Sample, TokenIds
from ptc.runtime.loss import Loss
from ptc.runtime.render import decode_all, render_prompts, render_responses
from ptc.runtime.tables import column

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Pair = tuple[TokenIds, TokenIds]
"""Prompt ids and the ids that bear loss."""


def sampled(rows: pa.Table, loss: Loss) -> list[Sample]:
    """One sample per row of completions, with the very tokens that the engine read and wrote."""
    pairs = list(zip(column(rows, "prompt_tokens"), column(rows, "response_tokens"), strict=True))
    return _samples(rows, loss, {"response": pairs})


def tokenised(rows: pa.Table, loss: Loss, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> list[Sample]:
    """One sample per row of texts. Raises `InputWrong` for rows on which the loss cannot be computed.

    A row that an engine wrote keeps its tokens where this tokenizer reads them alike: text does not tell how it was
    tokenised, nor that it was cut off.
    """
    pairs = {name: _pairs(rows, name, tokenizer, aligned=bool(loss.token_numbers)) for name in loss.token_columns}
    samples = _samples(rows, loss, pairs)
    for row, sample in enumerate(samples):
        if max_length is not None and sample.length > max_length:
            raise InputWrong(
                f"row {row + 1} has {sample.length} tokens, more than max_length = {max_length}: raise max_length, "
                f"or keep shorter rows (prompt {column(rows, 'prompt')[row][:60]!r})"
            )
    return samples


def by_prompt(rows: pa.Table) -> list[list[int]]:
    """The rows of each prompt: of each `group`, or of each text of a source without groups."""
    keys = column(rows, "group" if "group" in rows.column_names else "prompt")
    groups: dict[object, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _samples(rows: pa.Table, loss: Loss, pairs: dict[str, list[Pair]]) -> list[Sample]:
    numbers = {name: _numbers(rows, name) for name in sorted(loss.numbers)}
    token_numbers = {name: column(rows, name) for name in sorted(loss.token_numbers)}
    return [
        Sample(
            {name: values[row] for name, values in pairs.items()},
            {name: values[row] for name, values in numbers.items()},
            {name: values[row] for name, values in token_numbers.items()},
        )
        for row in range(rows.num_rows)
    ]


def _numbers(rows: pa.Table, name: str) -> list[float]:
    values = column(rows, name)
    for row, value in enumerate(values):
        if not isinstance(value, int | float):
            raise InputWrong(f"row {row + 1} has {value!r} for `.{name}`, where the objective needs a number")
    return [float(value) for value in values]


def _pairs(rows: pa.Table, name: str, tokenizer: PreTrainedTokenizerBase, aligned: bool) -> list[Pair]:
    """`aligned`: other columns have one number per token, so that the row's own tokens must be used."""
    prompts, texts = column(rows, "prompt"), _texts(rows, name)
    rendered = render_prompts(tokenizer, prompts)
    own = _own_tokens(rows, tokenizer, rendered, texts) if name == "response" else [None] * len(texts)
    foreign = [row for row, tokens in enumerate(own) if tokens is None]
    if aligned and foreign:
        raise InputWrong(
            f"row {foreign[0] + 1} was sampled under another tokenizer or chat template: its log-probabilities "
            "do not belong to this model's tokens"
        )
    responses = iter(render_responses(tokenizer, [prompts[row] for row in foreign], [texts[row] for row in foreign]))
    return [
        (prompt, next(responses) if tokens is None else tokens) for prompt, tokens in zip(rendered, own, strict=True)
    ]


def _texts(rows: pa.Table, name: str) -> list[str]:
    texts = column(rows, name)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputWrong(f"row {row + 1} has {text!r} for `.{name}`, where the objective needs a text")
    return texts


def _own_tokens(
    rows: pa.Table, tokenizer: PreTrainedTokenizerBase, rendered: Sequence[TokenIds], texts: Sequence[str]
) -> list[TokenIds | None]:
    """The tokens of each row's response, or None where it has none that mean the same to this tokenizer."""
    if not {"prompt_tokens", "response_tokens"} <= set(rows.column_names):
        return [None] * rows.num_rows
    prompts, responses = column(rows, "prompt_tokens"), column(rows, "response_tokens")
    return [
        response if prompt == list(read) and decoded == text else None
        for prompt, read, response, decoded, text in zip(
            prompts, rendered, responses, decode_all(tokenizer, responses), texts, strict=True
        )
    ]
