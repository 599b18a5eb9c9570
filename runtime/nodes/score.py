"""The node kind `score`: what verifiers and models say of each response, as a reward.

Adds `reward` (null where nothing could be said: such a row is masked from the advantage, and counted) and `verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context, Progress
from ptc.runtime.nodes.opened import OpenedModels
from ptc.runtime.rewards import Rewards
from ptc.runtime.tables import ROWS_FILE, read_rows, read_table, with_columns, write_rows, write_table

CHUNK = 1024
"""Rows in a sealed piece, where judging costs more than writing."""


def score(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Rows with `reward` and `verdict`. Raises `InvariantBroken` for a verifier that fails its self-test, or often."""
    table = read_rows(inputs["rows"])
    with (
        OpenedModels(inputs, context.profile) as models,
        Rewards(node.settings, context.profile.threads, models) as rewards,
    ):
        judged = _judge_all(rewards, table) if rewards.inline else _judge_in_chunks(rewards, table, context)
    unjudged = judged["reward"].null_count
    context.log({"rewards/mean": _mean(judged["reward"]), "judged": table.num_rows, "rewards/unjudged": unjudged})
    write_rows(with_columns(table, judged), out)


def _judge_all(rewards: Rewards, rows: pa.Table) -> dict[str, pa.Array]:
    worth = rewards(rows)
    steps = {name: pa.array(values, pa.list_(pa.float64())) for name, values in worth.columns.items()}
    verdicts = pa.array(worth.verdicts, pa.string())
    return {"reward": pa.array(worth.rewards, pa.float64()), "verdict": verdicts, **steps}


def _judge_in_chunks(rewards: Rewards, table: pa.Table, context: Context) -> dict[str, pa.Array]:
    sealed = set(context.partial.names())
    pieces = []
    for start in range(0, table.num_rows, CHUNK):
        name = f"chunk-{start // CHUNK:06d}"
        if name not in sealed:
            piece = pa.table(_judge_all(rewards, table.slice(start, CHUNK)))
            context.partial.write(name, partial(_write_piece, piece))
        pieces.append(read_table(context.partial.read(name) / ROWS_FILE))
        done = min(start + CHUNK, table.num_rows)
        context.heartbeat(Progress(done, table.num_rows, "rows", {}))
    whole = pa.concat_tables(pieces).combine_chunks()
    return {name: whole.column(name) for name in whole.column_names}


def _write_piece(piece: pa.Table, folder: Path) -> None:
    write_table(piece, folder / ROWS_FILE)


def _mean(rewards: pa.Array) -> float | None:
    mean: float | None = pc.mean(rewards).as_py()
    return mean
