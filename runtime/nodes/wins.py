"""The eval `win_rate`: how often what a model writes is preferred to what another one writes at the same prompt.

A judge compares the two, each standing first once. Other scorers give each response its score, and the higher one wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context
from ptc.runtime.judging import Judges, Weights, compare
from ptc.runtime.model_folders import parameter_count
from ptc.runtime.nodes.attempts import ATTEMPTS, attempts_at
from ptc.runtime.nodes.chunks import in_chunks, write_summary
from ptc.runtime.nodes.evals import summary_of_scores
from ptc.runtime.nodes.opened import OpenedModels
from ptc.runtime.rendering.conversations import prompt_text
from ptc.runtime.rendering.tables import prompts_of
from ptc.runtime.rewards import Rewards, spelled, summands
from ptc.runtime.rollouts import Rollout, rows_of, sample, sampling_of, seeds_for
from ptc.runtime.row_steps import identities
from ptc.runtime.tables import COUNTS_FILE, column, read_rows, write_table

Rollouts = Callable[[pa.Table], list[Rollout]]


def win_rate(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """`counts.parquet`, one row per prompt, and `summary.json` with the share of comparisons that the model wins."""
    rows = read_rows(inputs["prompts"])
    with (
        OpenedModels(inputs, context.profile) as models,
        Comparing(node.settings, context.profile.threads, models) as comparing,
    ):

        def measure(start: int, end: int) -> pa.Table:
            some = rows.slice(start, end - start)
            ours = attempts(models("model"), some, node.settings)
            return count_wins(some, ours, attempts(models("against"), some, node.settings), comparing)

        counts = in_chunks(rows.num_rows, context, measure)
    write_table(counts, out / COUNTS_FILE)
    summary = summary_of_wins(counts, int(node.settings["n"]))
    context.log(summary)
    details = {"draw": node.settings["draw"], "verifier": spelled(node.settings)}
    write_summary({**summary, **details, "parameters": parameter_count(inputs["model"].path)}, out)


def attempts(model: Weights, rows: pa.Table, settings: Mapping[str, Json], step: int = 0) -> list[Rollout]:
    """A model's attempts at each prompt, under the settings of an eval: the same seeds for whoever is measured."""
    seeds = seeds_for(prompts_of(rows), int(settings["n"]), int(settings["seed"]))
    return sample(model.engine(step), model.tokenizer, rows, sampling_of(settings), seeds)


def summary_of_wins(counts: pa.Table, samples: int) -> dict[str, Json]:
    """The share of comparisons that are won, a tie being half of one, with its interval."""
    longer = float(np.mean(column(counts, "mean_length_against")))
    return {**summary_of_scores("win_rate", counts, samples), "mean_length_against": longer}


class Comparing:
    """Who says which response is better; a context manager, because it may hold processes."""

    def __init__(self, settings: Mapping[str, Json], workers: int, judges: Judges) -> None:
        self._judges = judges
        (_, kind, document), *others = summands(settings)
        self._rubric: str | None = document["options"]["rubric"] if kind == "judge" and not others else None
        self._rewards = Rewards(settings, workers, judges) if self._rubric is None else None

    def __call__(self, rows: pa.Table, others: pa.Table, step: int = 0) -> list[float | None]:
        """How far each row's response is better than the other row's: 1, 0, or ½; None where nobody can say."""
        if self._rewards is None:
            assert self._rubric is not None
            return compare(self._judges("judge0"), self._rubric, rows, column(others, "response"), step)
        scores = zip(self._rewards(rows, step).rewards, self._rewards(others, step).rewards, strict=True)
        return [None if ours is None or theirs is None else _won(ours, theirs) for ours, theirs in scores]

    def __enter__(self) -> Comparing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._rewards is not None:
            self._rewards.close()


def _won(ours: float, theirs: float) -> float:
    return 0.5 if ours == theirs else float(ours > theirs)


def count_wins(
    rows: pa.Table, ours: Sequence[Rollout], theirs: Sequence[Rollout], comparing: Comparing, step: int = 0
) -> pa.Table:
    """One row of counts per prompt: the n-th attempt of the one is compared with the n-th of the other."""
    results = iter(comparing(rows_of(rows, ours), rows_of(rows, theirs), step))
    records = [
        {
            "prompt_id": identity,
            "prompt": prompt_text({"prompt": mine.prompt}),
            **_figures(mine, other, [next(results) for _ in mine.completions]),
        }
        for identity, mine, other in zip(identities(rows), ours, theirs, strict=True)
    ]
    return pa.Table.from_pylist(records, schema=_COUNTS)


def _figures(mine: Rollout, other: Rollout, results: Sequence[float | None]) -> dict[str, Json]:
    known = [result for result in results if result is not None]
    return {
        "n": len(known),
        "won": math.fsum(known),
        "mean_score": math.fsum(known) / len(known) if known else None,
        "finished": sum(completion.finished for completion in mine.completions),
        "mean_length": float(np.mean([len(completion.tokens) for completion in mine.completions])),
        "mean_length_against": float(np.mean([len(completion.tokens) for completion in other.completions])),
        "first_response": mine.responses[0],
        "first_response_against": other.responses[0],
        "attempts": _attempts(mine, results),
        "attempts_against": _attempts(other, [None if result is None else 1 - result for result in results]),
    }


def _attempts(rollout: Rollout, results: Sequence[float | None]) -> list[dict[str, Json]]:
    return attempts_at(rollout, results, [_in_words(result) for result in results], range(len(results)))


def _in_words(result: float | None) -> str:
    return "not judged" if result is None else "won" if result > 0.5 else "lost" if result < 0.5 else "tied"


_COUNTS = pa.schema(
    {
        "prompt_id": pa.string(),
        "prompt": pa.string(),
        "n": pa.int64(),
        "won": pa.float64(),
        "mean_score": pa.float64(),
        "finished": pa.int64(),
        "mean_length": pa.float64(),
        "mean_length_against": pa.float64(),
        "first_response": pa.string(),
        "first_response_against": pa.string(),
        "attempts": ATTEMPTS,
        "attempts_against": ATTEMPTS,
    }
)
