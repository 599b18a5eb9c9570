"""Rows as tables hold them, rendered: texts and messages by the template, an engine's own tokens as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.guidance import BEGUN, LEARNED, SHOWN, hinted
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
    sides = [sides_of(row, columns) for row in learned_records(rows)]
    own = _own_tokens(rows, tokenizer, columns)
    if aligned and None in own:
        raise InputWrong(
            f"row {own.index(None) + 1} was sampled under another tokenizer or chat template: its log-probabilities "
            "do not belong to this model's tokens: sample it again with this one"
        )
    strange = [one for one, kept in zip(sides, own, strict=True) if kept is None]
    foreign = iter(render_rows(tokenizer, strange, rendering))
    return [next(foreign) if kept is None else _kept(kept, rendering) for kept in own]


def records(rows: pa.Table) -> list[dict[str, Any]]:
    """What a model reads and writes, row by row."""
    found: list[dict[str, Any]] = rows.select([name for name in READ if name in rows.column_names]).to_pylist()
    return found


def learned_records(rows: pa.Table) -> list[dict[str, Any]]:
    """The records with the hints that the loss sees."""
    found = records(rows)
    if LEARNED not in rows.column_names:
        return found
    prompts = hinted(column(rows, "prompt"), rows, LEARNED)
    return [{**record, "prompt": prompt} for record, prompt in zip(found, prompts, strict=True)]


def prompts_of(rows: pa.Table) -> list[Prompt]:
    """What each row asks as the loss sees it: a text, or turns where there are several or the system's is set."""
    return _with_system(hinted(column(rows, "prompt"), rows, LEARNED), rows)


def shown_prompts(rows: pa.Table) -> list[Prompt]:
    """What a model is shown that samples, all hints included."""
    return _with_system(hinted(column(rows, "prompt"), rows, SHOWN), rows)


def _with_system(asked: list[Prompt], rows: pa.Table) -> list[Prompt]:
    if "system" not in rows.column_names:
        return asked
    systems = zip(asked, column(rows, "system"), strict=True)
    turns = [prompt_turns({"prompt": one, "system": system}) for one, system in systems]
    return [one if isinstance(found, NoConversation) else found for one, found in zip(asked, turns, strict=True)]


def all_borne(prompt: Sequence[int], ids: Sequence[int]) -> Rendered:
    return Rendered((*prompt, *ids), (*(False for _ in prompt), *(True for _ in ids)))


def _kept(tokens: Mapping[str, Rendered], rendering: Rendering) -> RenderedRow:
    """A row with its own tokens, which nothing can be cut from: what was sampled stands behind all of it."""
    length, limit = max(len(one.tokens) for one in tokens.values()), rendering.max_length
    if limit is None or length <= limit:
        return RenderedRow((tokens,), length=length)
    if rendering.truncate == "drop":
        return RenderedRow(length=length)
    said = f"has {length} tokens, more than max_length = {limit}: raise max_length, or keep shorter rows"
    return RenderedRow(problem=Problem(Fault.TOO_LONG, said), length=length)


def _own_tokens(
    rows: pa.Table, tokenizer: PreTrainedTokenizerBase, columns: Sequence[str]
) -> list[dict[str, Rendered] | None]:
    """The tokens of each row's columns, or None where it has none that mean the same to this tokenizer."""
    if not {"prompt", "prompt_tokens", *columns, *(f"{name}_tokens" for name in columns)} <= set(rows.column_names):
        return [None] * rows.num_rows
    sampled = [row for row, ids in enumerate(column(rows, "prompt_tokens")) if ids is not None]
    found: list[dict[str, Rendered] | None] = [None] * rows.num_rows
    if sampled:  # beside them there may be rows of any layout, as in `attempts + demonstrations`
        for row, own in zip(sampled, _of_sampled(rows.take(sampled), tokenizer, columns), strict=True):
            found[row] = own
    return found


def _of_sampled(
    rows: pa.Table, tokenizer: PreTrainedTokenizerBase, columns: Sequence[str]
) -> list[dict[str, Rendered] | None]:
    """The same of rows that all were sampled."""
    begun = [list(ids or ()) for ids in column(rows, BEGUN)] if BEGUN in rows.column_names else [[]] * rows.num_rows
    asked = [[*ids, *own] for ids, own in zip(render_prompts(tokenizer, prompts_of(rows)), begun, strict=True)]
    found: list[dict[str, Rendered] | None] = [
        {} if read == ids else None for read, ids in zip(column(rows, "prompt_tokens"), asked, strict=True)
    ]
    for name in columns:
        written, texts = column(rows, f"{name}_tokens"), column(rows, name)
        whole = [[*own, *(ids or ())] for own, ids in zip(begun, written, strict=True)]
        for row, spelled in enumerate(decode_all(tokenizer, whole)):
            own = found[row]
            if own is None or written[row] is None or spelled != texts[row]:
                found[row] = None
            else:
                own[name] = all_borne(asked[row], written[row])
    return found
