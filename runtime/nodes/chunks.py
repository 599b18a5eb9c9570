"""Measuring in pieces: chunks of prompts are sealed as they are measured, and read again by whoever goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import Context, Progress
from ptc.runtime.tables import COUNTS_FILE, read_table, write_table

SUMMARY_FILE = "summary.json"
CHUNK = 256
"""Prompts in a sealed piece."""
_BETWEEN_HEARTBEATS = 64
"""Prompts given to the engine at once."""


def in_chunks(count: int, context: Context, measure: Callable[[int, int], pa.Table]) -> pa.Table:
    """`measure(start, end)` for all of `count` rows, in order; sealed chunks are read and not measured again."""
    sealed = set(context.partial.names())
    pieces = []
    for start in range(0, count, CHUNK):
        end, name = min(start + CHUNK, count), f"chunk-{start // CHUNK:06d}"
        if name not in sealed:
            parts = []
            for first in range(start, end, _BETWEEN_HEARTBEATS):
                parts.append(measure(first, min(first + _BETWEEN_HEARTBEATS, end)))
                context.heartbeat(Progress(min(first + _BETWEEN_HEARTBEATS, end), count, "prompts", {}))
            piece = pa.concat_tables(parts)
            context.partial.write(name, partial(_write_counts, piece))
        pieces.append(read_table(context.partial.read(name) / COUNTS_FILE))
    return pa.concat_tables(pieces).combine_chunks()


def write_summary(summary: Mapping[str, Json], out: Path) -> None:
    (out / SUMMARY_FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _write_counts(counts: pa.Table, folder: Path) -> None:
    write_table(counts, folder / COUNTS_FILE)
