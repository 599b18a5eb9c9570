"""Rows as tables hold them, rendered: texts and messages by the template, an engine's own tokens as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.render import Prompt, render_prompts
from ptc.runtime.rendering.conversations import NoConversation, prompt_turns
from ptc.runtime.rendering.rows import RenderedRow, Rendering, render_rows, sides_of
from ptc.runtime.rendering.template import decode_all
from ptc.runtime.rendering.turns import Fault, Problem, Rendered
from ptc.runtime.tables import column

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

READ = ("prompt", "response", "completion", "messages", "chosen", "rejected", "text", "tools", "system")
"""The columns that hold what a model reads or writes."""


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


def prompts_of(rows: pa.Table) -> list[Prompt]:
    """What each row asks: a text, or turns where there are several or the system's is set."""
    asked = column(rows, "prompt")
    if "system" not in rows.column_names:
        return asked
    systems = zip(asked, column(rows, "system"), strict=True)
    turns = [prompt_turns({"prompt": one, "system": system}) for one, system in systems]
    return [one if isinstance(found, NoConversation) else found for one, found in zip(asked, turns, strict=True)]


def all_borne(prompt: Sequence[int], ids: Sequence[int]) -> Rendered:
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


def _own_tokens(rows: pa.Table, tokenizer: PreTrainedTokenizerBase) -> list[Rendered | None]:
    """The tokens of each row's response, or None where it has none that mean the same to this tokenizer."""
    if not {"prompt", "response", "prompt_tokens", "response_tokens"} <= set(rows.column_names):
        return [None] * rows.num_rows
    rendered = render_prompts(tokenizer, prompts_of(rows))
    prompts, responses, texts = (column(rows, name) for name in ("prompt_tokens", "response_tokens", "response"))
    decoded = decode_all(tokenizer, [tokens or [] for tokens in responses])
    return [
        all_borne(prompt, response) if prompt == list(read) and response is not None and spelled == text else None
        for prompt, read, response, spelled, text in zip(prompts, rendered, responses, decoded, texts, strict=True)
    ]
