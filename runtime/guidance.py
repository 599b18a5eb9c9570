"""What a model is shown beyond the prompt: hints beside it, and the beginning of a response that it goes on from.

A `hint` or `prefix` only takes down what is to be shown, in columns that no program can name; whoever samples shows it,
and whoever learns from the rows leaves it out again or not, as the step says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.expressions import evaluate
from ptc.runtime.rendering.template import encode
from ptc.runtime.tables import column, with_columns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHOWN, LEARNED = "$shown", "$learned"
"""Lists of hints: those that a model is shown while it samples, and those of them that the loss sees too."""
BEGINNING, SHARE, BORNE = "$beginning", "$share", "$borne"
"""The text that a response begins with, how much of it (as JSON), and whether loss is borne on it."""
BEGUN = "$begun"
"""Of a sampled row: the tokens of its response that are no completion and bear no loss."""


def hint(settings: Mapping[str, Json], tables: Mapping[str, pa.Table]) -> pa.Table:
    """The rows with a text that is shown behind the prompt; a row for which it is null is shown nothing."""
    table = tables["rows"]
    texts = evaluate(settings["text"], table)
    names = (SHOWN, LEARNED) if settings["train"] == "keep" else (SHOWN,)
    return with_columns(table, {name: _added(_hints(table, name), texts) for name in names})


def prefix(settings: Mapping[str, Json], tables: Mapping[str, pa.Table]) -> pa.Table:
    """The rows with the text that a response begins with."""
    table = tables["rows"]
    texts = [None if text is None else str(text) for text in evaluate(settings["text"], table)]
    shares, borne = [json.dumps(settings["share"])] * table.num_rows, [settings["train"] == "keep"] * table.num_rows
    return with_columns(table, {BEGINNING: texts, SHARE: shares, BORNE: borne})


def hinted(prompts: Sequence[Any], rows: pa.Table, name: str) -> list[Any]:
    """Prompts with the hints of a column behind them."""
    if name not in rows.column_names:
        return list(prompts)
    return [_with(prompt, texts) for prompt, texts in zip(prompts, _hints(rows, name), strict=True)]


def beginnings(rows: pa.Table, tokenizer: PreTrainedTokenizerBase, step: int) -> list[list[int]]:
    """The tokens that each response begins with, for the step after `step` updates."""
    if BEGINNING not in rows.column_names:
        return [[] for _ in range(rows.num_rows)]
    whole = encode(tokenizer, [text or "" for text in column(rows, BEGINNING)])
    shares = [share_at(json.loads(share), step) if share else 0.0 for share in column(rows, SHARE)]
    return [list(tokens[: round(share * len(tokens))]) for tokens, share in zip(whole, shares, strict=True)]


def borne(rows: pa.Table) -> list[bool]:
    """Whether loss is borne on the beginning of each response."""
    return [mark is True for mark in column(rows, BORNE)] if BORNE in rows.column_names else [False] * rows.num_rows


def share_at(share: Json, step: int) -> float:
    """A share that may be annealed, after so many updates: linear, and constant afterwards."""
    if not isinstance(share, Mapping):
        return float(share)
    start, end = share["anneal"]
    return float(start + (end - start) * min(1.0, step / share["over"]))


def _hints(rows: pa.Table, name: str) -> list[list[str]]:
    return [list(texts or ()) for texts in column(rows, name)] if name in rows.column_names else [[]] * rows.num_rows


def _added(hints: Sequence[list[str]], texts: Sequence[Any]) -> pa.Array:
    added = [own if text is None else [*own, str(text)] for own, text in zip(hints, texts, strict=True)]
    return pa.array(added, pa.list_(pa.string()))


def _with(prompt: Any, texts: Sequence[str]) -> Any:
    """A prompt, as a text or as turns, whose last turn goes on with some texts."""
    if not texts:
        return prompt
    if isinstance(prompt, str):
        return "\n\n".join([prompt, *texts])
    *before, last = prompt
    if not isinstance(last.get("content"), str):
        raise InputWrong(
            "a hint is shown behind a prompt that ends in a text, and this one ends in parts: leave such rows out with "
            "`keep`"
        )
    return [*before, {**last, "content": "\n\n".join([last["content"], *texts])}]
