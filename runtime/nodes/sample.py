"""The node kind `sample`: completions of fixed weights, as rows.

Prompts are sampled in chunks of 256, each sealed in `context.partial` when done: a node that was killed goes on with
the first missing chunk. Seeds do not depend on the chunks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context, Progress
from ptc.runtime.choosing import counting
from ptc.runtime.engines.open import load_tokenizer, open_engine
from ptc.runtime.rendering.tables import prompts_of
from ptc.runtime.rollouts import Rollout, rows_of, sample, sampling_of, seeds_for
from ptc.runtime.tables import ROWS_FILE, column, read_rows, read_table, write_rows, write_table

CHUNK = 256
"""Prompts in a sealed piece."""
_BETWEEN_HEARTBEATS = 64
"""Prompts given to the engine at once."""


def sample_node(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Fills `rows.parquet`: `n` rows per prompt, in the order of the prompts and attempts."""
    rows = read_rows(inputs["prompts"])
    starts = range(0, rows.num_rows, CHUNK)
    sealed = set(context.partial.names())
    missing = [start for start in starts if _chunk_name(start) not in sealed]
    if missing:
        _sample_chunks(node, inputs["model"].path, rows, missing, context)
    chunks = [read_table(context.partial.read(_chunk_name(start)) / ROWS_FILE) for start in starts]
    whole = pa.concat_tables(chunks)
    write_rows(counting(whole, column(whole, "finished")) if node.settings.get("mask_truncated") else whole, out)


def _sample_chunks(node: Node, model: Path, rows: pa.Table, starts: Sequence[int], context: Context) -> None:
    prompts = prompts_of(rows)
    seeds = seeds_for(prompts, int(node.settings["n"]), int(node.settings["seed"]))
    sampling = sampling_of(node.settings)
    tokenizer = load_tokenizer(model)
    engine = open_engine(context.profile, model)
    try:
        for start in starts:
            rollouts: list[Rollout] = []
            end = min(start + CHUNK, len(prompts))
            for first in range(start, end, _BETWEEN_HEARTBEATS):
                some = slice(first, min(first + _BETWEEN_HEARTBEATS, end))
                asked = rows.slice(some.start, some.stop - some.start)
                rollouts += sample(engine, tokenizer, asked, sampling, seeds[some])
                context.heartbeat(Progress(some.stop, len(prompts), "prompts", metrics_of(rollouts)))
            chunk = rows_of(rows.slice(start, end - start), rollouts, first_group=start)
            context.partial.write(_chunk_name(start), partial(_write_chunk, chunk))
            context.log({"prompts": end, **metrics_of(rollouts)})
    finally:
        engine.close()


def _write_chunk(chunk: pa.Table, folder: Path) -> None:
    write_table(chunk, folder / ROWS_FILE)


def metrics_of(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Mean length in tokens and the share of completions cut off by `max_tokens`, under TRL's names."""
    completions = [completion for rollout in rollouts for completion in rollout.completions]
    return {
        "completions/mean_length": sum(len(completion.tokens) for completion in completions) / len(completions),
        "completions/clipped_ratio": sum(not completion.finished for completion in completions) / len(completions),
    }


def _chunk_name(start: int) -> str:
    return f"chunk-{start // CHUNK:06d}"
