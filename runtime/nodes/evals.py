"""Evals: `pass_rate` and `bits_per_character`. An eval is a function of a model and yields counts per prompt.

Chunks of prompts are sealed as they are measured, so that an eval that was killed goes on where it stood.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, InputWrong, Progress
from ptc.runtime.conventions import implied
from ptc.runtime.engines.protocol import Engine, Sampling
from ptc.runtime.model_folders import parameter_count
from ptc.runtime.render import fit_length, render_prompts, render_responses
from ptc.runtime.rendering.conversations import prompt_text
from ptc.runtime.rendering.tables import prompts_of
from ptc.runtime.rollouts import Rollout, sample, sampling_of, seeds_for
from ptc.runtime.row_steps import identities
from ptc.runtime.statistics import bootstrap, mean_of, pass_at_k, powers_of_two
from ptc.runtime.tables import COUNTS_FILE, column, read_rows, read_table, write_table
from ptc.runtime.verifier_pool import Judge
from ptc.stdlib.verifiers import Fail, Pass, Verdict, reward_of, spelled

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SUMMARY_FILE = "summary.json"
CHUNK = 256
"""Prompts in a sealed piece."""
_BETWEEN_HEARTBEATS = 64
"""Prompts given to the engine at once."""


def pass_rate(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """`counts.parquet`, one row per prompt, and `summary.json` with pass@k.

    Samples draw from a seed of the eval's own, and every model is measured with the same one: no training seed is
    touched, and an observer changes nothing.
    """
    rows = read_rows(inputs["prompts"])
    folder = inputs["model"].path
    opened = _Opened(folder, context)
    with Judge(node.settings["verifier"], workers=context.profile.threads) as judge, closing(opened):

        def measure(start: int, end: int) -> pa.Table:
            engine, tokenizer = opened()
            return count_attempts(engine, tokenizer, rows.slice(start, end - start), node.settings, judge)

        counts = _in_chunks(rows.num_rows, context, measure)
    write_table(counts, out / COUNTS_FILE)
    summary = summary_of(counts, int(node.settings["n"]))
    context.log(summary)
    details = {"draw": node.settings["draw"], "verifier": node.settings["verifier"]["name"]}
    _write_summary({**summary, **details, "parameters": parameter_count(folder)}, out)


def count_attempts(
    engine: Engine,
    tokenizer: PreTrainedTokenizerBase,
    rows: pa.Table,
    settings: Mapping[str, Json],
    judge: Judge,
    greedy: bool = True,
) -> pa.Table:
    """One row of counts per row of prompts (`docs/graph.md`), under the settings of a `pass_rate`.

    `n` counts the samples that could be judged, `correct` those with score 1, `parsed` those in which an answer was
    found. `greedy_response` is the completion at temperature 0; null without `greedy`.
    """
    sampling = sampling_of(settings)
    prompts = prompts_of(rows)
    rollouts = sample(
        engine, tokenizer, prompts, sampling, seeds_for(prompts, int(settings["n"]), int(settings["seed"]))
    )
    best = Sampling(temperature=0.0, max_tokens=sampling.max_tokens)
    likeliest = sample(engine, tokenizer, prompts, best, [[0] for _ in prompts]) if greedy else None
    verdicts = _verdicts(judge, rows, rollouts)
    answers = rows.column("answer").to_pylist() if "answer" in rows.column_names else [None] * rows.num_rows
    records = [
        {
            "prompt_id": identity,
            "prompt": prompt_text({"prompt": rollout.prompt}),
            "answer": None if answer is None else spelled(answer),
            **_counted(rollout, own),
            "greedy_response": likeliest[index].responses[0] if likeliest else None,
        }
        for index, (identity, answer, rollout, own) in enumerate(
            zip(identities(rows), answers, rollouts, verdicts, strict=True)
        )
    ]
    return pa.Table.from_pylist(records, schema=_COUNTS)


def bits_per_character(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """`counts.parquet` with `characters` and `bits` per row, and their ratio in `summary.json`.

    A column is scored as the response to the row's `prompt`, its end-of-sequence token included; without prompts, as a
    text that follows an end of sequence. Rows longer than the model's context are left out and counted as `dropped`.
    """
    rows = read_rows(inputs["rows"])
    folder = inputs["model"].path
    opened = _Opened(folder, context)
    measure = _Bits(rows, node.settings["columns"], context_length(folder), opened)
    with closing(opened):
        counts = _in_chunks(rows.num_rows, context, measure.counts)
    write_table(counts, out / COUNTS_FILE)
    characters, bits = sum(column(counts, "characters")), math.fsum(column(counts, "bits"))
    if not characters:
        raise InputWrong("no row has text that fits into the model's context: nothing can be measured")
    summary = {
        "bits_per_character": bits / characters,
        "characters": characters,
        "prompts": counts.num_rows,
        "dropped": rows.num_rows * len(node.settings["columns"]) - sum(column(counts, "texts")),
        "parameters": parameter_count(folder),
    }
    context.log(summary)
    _write_summary(summary, out)


def summary_of(counts: pa.Table, samples: int) -> dict[str, Json]:
    """pass@1 with its interval, pass@k for powers of two, and what else is worth a look, of a table of counts."""
    n, correct = (np.asarray(column(counts, name), dtype=np.int64) for name in ("n", "correct"))
    summary: dict[str, Json] = {"prompts": counts.num_rows, "n": samples}
    for k in powers_of_two(samples):
        enough = n >= k
        if enough.any():
            summary[f"pass@{k}"] = float(pass_at_k(n[enough], correct[enough], k).mean())
    judged = n >= 1
    interval = bootstrap(mean_of, pass_at_k(n[judged], correct[judged], 1))
    total = int(n.sum())
    return {
        **summary,
        "pass@1 low": interval.low,
        "pass@1 high": interval.high,
        "parsed": sum(column(counts, "parsed")) / max(total, 1),
        "finished": sum(column(counts, "finished")) / (samples * counts.num_rows),
        "mean_length": float(np.mean(column(counts, "mean_length"))),
        "not_judged": samples * counts.num_rows - total,
    }


def _verdicts(judge: Judge, rows: pa.Table, rollouts: Sequence[Rollout]) -> list[list[Verdict]]:
    """The verdicts on each prompt's attempts."""
    columns = {name: column(rows, name) for name in judge.signature.columns}
    asked = [{name: values[row] for name, values in columns.items()} for row in range(rows.num_rows)]
    attempts = zip(asked, rollouts, strict=True)
    flat = judge([{**row, "response": response} for row, rollout in attempts for response in rollout.responses])
    verdicts = iter(flat)
    return [[next(verdicts) for _ in rollout.responses] for rollout in rollouts]


_COUNTS = pa.schema(
    {
        "prompt_id": pa.string(),
        "prompt": pa.string(),
        "answer": pa.string(),
        "n": pa.int64(),
        "correct": pa.int64(),
        "parsed": pa.int64(),
        "finished": pa.int64(),
        "mean_score": pa.float64(),
        "mean_length": pa.float64(),
        "first_response": pa.string(),
        "greedy_response": pa.string(),
    }
)


def _counted(rollout: Rollout, verdicts: Sequence[Verdict]) -> dict[str, Json]:
    judged = [verdict for verdict in verdicts if isinstance(verdict, Pass | Fail)]
    scores = [reward for verdict in judged if (reward := reward_of(verdict)) is not None]
    return {
        "n": len(judged),
        "correct": sum(score >= 1 for score in scores),
        "parsed": sum(isinstance(verdict, Pass) or verdict.parsed for verdict in judged),
        "finished": sum(completion.finished for completion in rollout.completions),
        "mean_score": math.fsum(scores) / len(scores) if scores else None,
        "mean_length": sum(len(completion.tokens) for completion in rollout.completions) / len(rollout.completions),
        "first_response": rollout.responses[0],
    }


class _Bits:
    """Teacher-forced cost of some rows at a time."""

    def __init__(self, rows: pa.Table, names: Sequence[str], longest: int, opened: _Opened) -> None:
        self._texts = [column(rows, name) for name in names]
        asked = "prompt" in rows.column_names or implied(rows, "prompt") is not None
        self._prompts = prompts_of(rows) if asked else None
        self._identities = identities(rows) if asked else None
        self._longest = longest
        self._opened = opened

    def counts(self, start: int, end: int) -> pa.Table:
        """Characters and bits of rows `start` to `end`, summed over the columns."""
        characters, bits, texts = (
            np.zeros(end - start, np.int64),
            np.zeros(end - start),
            np.zeros(end - start, np.int64),
        )
        for values in self._texts:
            some = [str(value) for value in values[start:end]]
            kept, costs = self._costs(some, start)
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

    def _costs(self, texts: Sequence[str], start: int) -> tuple[Sequence[int], list[float]]:
        """Which texts fit, and the bits that each of those costs."""
        engine, tokenizer = self._opened()
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


class _Opened:
    """Engine and tokenizer of a model folder, opened when first needed."""

    def __init__(self, folder: Path, context: Context) -> None:
        self._folder = folder
        self._profile = context.profile
        self._pair: tuple[Engine, PreTrainedTokenizerBase] | None = None

    def __call__(self) -> tuple[Engine, PreTrainedTokenizerBase]:
        from ptc.runtime.engines.open import load_tokenizer, open_engine

        if self._pair is None:
            self._pair = open_engine(self._profile, self._folder), load_tokenizer(self._folder)
        return self._pair

    def close(self) -> None:
        if self._pair is not None:
            self._pair[0].close()


def context_length(folder: Path) -> int:
    """Tokens that fit into the model."""
    return int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"])


def _in_chunks(count: int, context: Context, measure: Callable[[int, int], pa.Table]) -> pa.Table:
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


def _write_counts(counts: pa.Table, folder: Path) -> None:
    write_table(counts, folder / COUNTS_FILE)


def _write_summary(summary: Mapping[str, Json], out: Path) -> None:
    (out / SUMMARY_FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
