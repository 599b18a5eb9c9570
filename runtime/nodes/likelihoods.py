"""The eval `bits_per_character`: what it costs a model to be told a text, by character and not by token."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, InputWrong
from ptc.runtime.conventions import implied
from ptc.runtime.engines.protocol import Engine
from ptc.runtime.model_folders import parameter_count
from ptc.runtime.nodes.chunks import in_chunks, write_summary
from ptc.runtime.nodes.opened import OpenedModels
from ptc.runtime.render import fit_length, render_prompts, render_responses
from ptc.runtime.rendering.tables import shown_prompts
from ptc.runtime.row_steps import identities
from ptc.runtime.tables import COUNTS_FILE, column, read_rows, write_table

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def bits_per_character(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """`counts.parquet` with `characters` and `bits` per row, and their ratio in `summary.json`.

    A column is scored as the response to the row's `prompt`, its end-of-sequence token included; without prompts, as a
    text that follows an end of sequence. Rows longer than the model's context are left out and counted as `dropped`.
    """
    rows = read_rows(inputs["rows"])
    folder = inputs["model"].path
    with OpenedModels(inputs, context.profile) as models:
        model = models("model")
        bits = Bits(rows, node.settings["columns"], model.context, model.tokenizer)
        counts = in_chunks(rows.num_rows, context, lambda start, end: bits.counts(start, end, lambda: model.engine(0)))
    write_table(counts, out / COUNTS_FILE)
    if not sum(column(counts, "characters")):
        raise InputWrong("no row has text that fits into the model's context: take shorter rows")
    summary = {
        **summary_of_bits(counts),
        "dropped": rows.num_rows * len(node.settings["columns"]) - sum(column(counts, "texts")),
        "parameters": parameter_count(folder),
    }
    context.log(summary)
    write_summary(summary, out)


def summary_of_bits(counts: pa.Table) -> dict[str, Json]:
    """Bits per character over all rows."""
    characters, bits = sum(column(counts, "characters")), math.fsum(column(counts, "bits"))
    return {"bits_per_character": bits / characters, "characters": characters, "prompts": counts.num_rows}


class Bits:
    """Teacher-forced cost of some rows at a time."""

    def __init__(self, rows: pa.Table, names: Sequence[str], longest: int, tokenizer: PreTrainedTokenizerBase) -> None:
        self._texts = [column(rows, name) for name in names]
        asked = "prompt" in rows.column_names or implied(rows, "prompt") is not None
        self._prompts = shown_prompts(rows) if asked else None
        self._identities = identities(rows) if asked else None
        self._longest = longest
        self._tokenizer = tokenizer

    def counts(self, start: int, end: int, engine: Callable[[], Engine]) -> pa.Table:
        """Characters and bits of rows `start` to `end`, summed over the columns."""
        characters, bits, texts = (
            np.zeros(end - start, np.int64),
            np.zeros(end - start),
            np.zeros(end - start, np.int64),
        )
        for values in self._texts:
            some = [str(value) for value in values[start:end]]
            kept, costs = self._costs(some, start, engine())
            for index, cost in zip(kept, costs, strict=True):
                characters[index] += len(some[index])
                bits[index] += cost
                texts[index] += 1
        known = self._identities[start:end] if self._identities else [None] * (end - start)
        return pa.table(
            {
                "prompt_id": pa.array(known, pa.string()),
                "characters": pa.array(characters),
                "bits": pa.array(bits),
                "texts": pa.array(texts),
            }
        )

    def _costs(self, texts: Sequence[str], start: int, engine: Engine) -> tuple[Sequence[int], list[float]]:
        """Which texts fit, and the bits that each of those costs."""
        tokenizer = self._tokenizer
        if self._prompts is None:
            end = tokenizer.eos_token_id
            contexts: list[list[int]] = [[end] for _ in texts]
            targets = [[*ids, end] for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
        else:
            prompts = self._prompts[start : start + len(texts)]
            contexts, targets = render_prompts(tokenizer, prompts), render_responses(tokenizer, prompts, texts)
        kept = fit_length(contexts, targets, self._longest, "drop").kept
        logprobs = engine.logprobs([(contexts[index], targets[index]) for index in kept])
        return kept, [-math.fsum(values) / math.log(2) for values in logprobs]
