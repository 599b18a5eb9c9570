"""The node kind `score`: what a verifier says of each response, as a reward.

Adds `reward` (null where nothing could be said: such a row is masked from the advantage, and counted) and `verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context, Progress
from ptc.runtime.tables import ROWS_FILE, column, read_rows, read_table, with_columns, write_rows, write_table
from ptc.runtime.verifier_pool import Judge
from ptc.stdlib.verifiers import Error, Fail, Pass, Penalty, Refused, Timeout, Verdict, reward_of

CHUNK = 1024
"""Rows in a sealed piece, where judging costs more than writing."""


def score(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Rows with `reward` and `verdict`. Raises `InvariantBroken` for a verifier that fails its self-test, or often."""
    table = read_rows(inputs["rows"])
    with Judge(node.settings["verifier"], workers=context.profile.threads) as judge:
        rows = rows_for(judge, table)
        judged = _judge_all(judge, rows) if judge.signature.inline else _judge_in_chunks(judge, rows, context)
    context.log({"rewards/mean": _mean(judged["reward"]), "judged": len(rows)})
    write_rows(with_columns(table, judged), out)


def rows_for(judge: Judge, table: pa.Table) -> list[dict[str, Any]]:
    """The columns that a verifier reads, row by row. Raises `InputWrong` if one is missing."""
    columns = {name: column(table, name) for name in judge.signature.reads}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def words(verdict: Verdict) -> str:
    """A verdict as a column of rows has it."""
    match verdict:
        case Pass():
            return "pass"
        case Fail(parsed=True):
            return "fail"
        case Fail():
            return "fail: no answer found"
        case Penalty(score):
            return "penalty" if score < 0 else "no penalty"
        case Error(kind):
            return f"error: {kind}"
        case Timeout():
            return "timeout"
        case Refused(reason):
            return f"refused: {reason}"


def _judge_all(judge: Judge, rows: Sequence[dict[str, Any]]) -> dict[str, pa.Array]:
    verdicts = judge(rows)
    rewards = pa.array([reward_of(verdict) for verdict in verdicts], pa.float64())
    return {"reward": rewards, "verdict": pa.array([words(verdict) for verdict in verdicts], pa.string())}


def _judge_in_chunks(judge: Judge, rows: Sequence[dict[str, Any]], context: Context) -> dict[str, pa.Array]:
    sealed = set(context.partial.names())
    pieces = []
    for start in range(0, len(rows), CHUNK):
        name = f"chunk-{start // CHUNK:06d}"
        if name not in sealed:
            piece = pa.table(_judge_all(judge, rows[start : start + CHUNK]))
            context.partial.write(name, partial(_write_piece, piece))
        pieces.append(read_table(context.partial.read(name) / ROWS_FILE))
        context.heartbeat(Progress(min(start + CHUNK, len(rows)), len(rows), "rows", {}))
    table = pa.concat_tables(pieces).combine_chunks()
    return {name: table.column(name) for name in table.column_names}


def _write_piece(piece: pa.Table, folder: Path) -> None:
    write_table(piece, folder / ROWS_FILE)


def _mean(rewards: pa.Array) -> float | None:
    mean: float | None = pc.mean(rewards).as_py()
    return mean
