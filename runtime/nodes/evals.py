"""Evals of what a model writes: `pass_rate` and `reward`. An eval is a function of a model, and yields counts.

Samples draw from a seed of the eval's own, and every model is measured with the same one: no training seed is touched,
and an observer changes nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context
from ptc.runtime.engines.protocol import Engine
from ptc.runtime.intervals import MEAN, RATE, interval
from ptc.runtime.model_folders import parameter_count
from ptc.runtime.nodes.attempts import ATTEMPTS, attempts_at
from ptc.runtime.nodes.chunks import in_chunks, write_summary
from ptc.runtime.nodes.opened import OpenedModels
from ptc.runtime.rendering.conversations import prompt_text
from ptc.runtime.rendering.tables import prompts_of
from ptc.runtime.rewards import Rewards, Worth, spelled
from ptc.runtime.rollouts import Rollout, greedy_of, rows_of, sample, sampling_of, seeds_for
from ptc.runtime.row_steps import identities
from ptc.runtime.statistics import pass_at_k, powers_of_two
from ptc.runtime.tables import COUNTS_FILE, column, read_rows, write_table
from ptc.stdlib import verifiers
from ptc.stdlib.verifiers import final_answer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RIGHT = 1 - 1e-9
"""The score from which an attempt is right: 1, up to the rounding of a sum."""


def pass_rate(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """`counts.parquet`, one row per prompt, and `summary.json` with pass@k."""
    counts = _counted(node, inputs, context, greedy=True)
    write_table(counts, out / COUNTS_FILE)
    _summarise(node, summary_of(counts, attempts_of(node.settings)), inputs, out, context)


def reward(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """`counts.parquet`, one row per prompt, and `summary.json` with the mean score."""
    counts = _counted(node, inputs, context, greedy=False).drop_columns(["correct", "parsed", "greedy_response"])
    write_table(counts, out / COUNTS_FILE)
    _summarise(node, summary_of_scores("reward", counts, attempts_of(node.settings)), inputs, out, context)


def attempts_of(settings: Mapping[str, Json]) -> int:
    """How many attempts at a prompt are judged in the end: where something chooses one of them, one."""
    return 1 if settings.get("scaffold") else int(settings["n"])


def _counted(node: Node, inputs: Mapping[str, Artifact], context: Context, greedy: bool) -> pa.Table:
    rows = read_rows(inputs["prompts"])
    with (
        OpenedModels(inputs, context.profile) as models,
        Rewards(node.settings, context.profile.threads, models) as rewards,
    ):
        model = models("model")

        def measure(start: int, end: int) -> pa.Table:
            some = rows.slice(start, end - start)
            return count_attempts(model.engine(0), model.tokenizer, some, node.settings, rewards, greedy=greedy)

        return in_chunks(rows.num_rows, context, measure)


def _summarise(
    node: Node, summary: dict[str, Json], inputs: Mapping[str, Artifact], out: Path, context: Context
) -> None:
    context.log(summary)
    details = {"draw": node.settings["draw"], "verifier": spelled(node.settings)}
    write_summary({**summary, **details, "parameters": parameter_count(inputs["model"].path)}, out)


def count_attempts(
    engine: Engine,
    tokenizer: PreTrainedTokenizerBase,
    rows: pa.Table,
    settings: Mapping[str, Json],
    rewards: Rewards,
    step: int = 0,
    greedy: bool = True,
) -> pa.Table:
    """One row of counts per row of prompts (`docs/graph.md`), under the settings of a `pass_rate`.

    `n` counts the attempts that could be judged, `correct` those with score 1, `parsed` those in which an answer was
    found. `greedy_response` is the completion at temperature 0; null without `greedy`. `attempts` are all of them.
    """
    sampling = sampling_of(settings)
    prompts = prompts_of(rows)
    seeds = seeds_for(prompts, int(settings["n"]), int(settings["seed"]))
    rollouts = sample(engine, tokenizer, rows, sampling, seeds)
    likeliest = sample(engine, tokenizer, rows, greedy_of(sampling), [[0]] * len(prompts)) if greedy else None
    worth = rewards(rows_of(rows, rollouts), step)
    picked = chosen(rollouts, worth.rewards, settings.get("scaffold"))
    figures = _Figures(rollouts, picked, worth)
    answers = rows.column("answer").to_pylist() if "answer" in rows.column_names else [None] * rows.num_rows
    records = [
        {
            "prompt_id": identity,
            "prompt": prompt_text({"prompt": rollout.prompt}),
            "answer": None if answer is None else verifiers.spelled(answer),
            **figures.of(index),
            "greedy_response": likeliest[index].responses[0] if likeliest else None,
        }
        for index, (identity, answer, rollout) in enumerate(zip(identities(rows), answers, rollouts, strict=True))
    ]
    return pa.Table.from_pylist(records, schema=_COUNTS)


def chosen(rollouts: Sequence[Rollout], scores: Sequence[float | None], scaffold: str | None) -> list[list[int]]:
    """The attempts at each prompt that count, by their place among all: all of them, or the one that a scaffold picks.

    `best_of_n`: the one with the highest score, the earlier of equals. `majority`: the first with the final answer that
    most attempts end in.
    """
    places: list[list[int]] = []
    for rollout in rollouts:
        start = places[-1][-1] + 1 if places else 0
        places.append(list(range(start, start + len(rollout.completions))))
    match scaffold:
        case "best_of_n":
            judged = [[place for place in own if scores[place] is not None] for own in places]
            return [[max(own, key=lambda place: scores[place] or 0.0)] if own else [] for own in judged]
        case "majority":
            return [[own[_voted(rollout)]] for own, rollout in zip(places, rollouts, strict=True)]
    return places


def _voted(rollout: Rollout) -> int:
    answers = [final_answer(response).strip() for response in rollout.responses]
    votes = Counter(answers)
    return max(range(len(answers)), key=lambda attempt: (votes[answers[attempt]], -attempt))


def summary_of(counts: pa.Table, samples: int) -> dict[str, Json]:
    """pass@1 with its interval, pass@k for powers of two, and what else is worth a look, of a table of counts."""
    n, correct = (np.asarray(column(counts, name), dtype=np.int64) for name in ("n", "correct"))
    summary: dict[str, Json] = {"prompts": counts.num_rows, "n": samples}
    for k in powers_of_two(samples):
        enough = n >= k
        if enough.any():
            summary[f"pass@{k}"] = float(pass_at_k(n[enough], correct[enough], k).mean())
    judged = n >= 1
    first = interval(RATE, pass_at_k(n[judged], correct[judged], 1))
    total = int(n.sum())
    return {
        **summary,
        "pass@1 low": first.low,
        "pass@1 high": first.high,
        "parsed": sum(column(counts, "parsed")) / max(total, 1),
        **about(counts, samples),
    }


def summary_of_scores(name: str, counts: pa.Table, samples: int) -> dict[str, Json]:
    """The mean of the prompts' mean scores, with its interval; null where nothing could be judged."""
    scores = np.array([score for score in column(counts, "mean_score") if score is not None], dtype=np.float64)
    mean = interval(RATE if name == "win_rate" else MEAN, scores) if len(scores) else None
    return {
        "prompts": counts.num_rows,
        "n": samples,
        name: mean and mean.value,
        f"{name} low": mean and mean.low,
        f"{name} high": mean and mean.high,
        **about(counts, samples),
    }


def about(counts: pa.Table, samples: int) -> dict[str, Json]:
    return {
        "finished": sum(column(counts, "finished")) / (samples * counts.num_rows),
        "mean_length": float(np.mean(column(counts, "mean_length"))),
        "not_judged": samples * counts.num_rows - sum(column(counts, "n")),
    }


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
        "attempts": ATTEMPTS,
    }
)


@dataclass(frozen=True)
class _Figures:
    """What is counted of the attempts at each prompt."""

    rollouts: Sequence[Rollout]
    picked: Sequence[Sequence[int]]
    """The places of those that count, among all attempts at all prompts."""
    worth: Worth

    @cached_property
    def _judged(self) -> tuple[list[float | None], list[str], list[bool]]:
        return self.worth.rewards, self.worth.verdicts, self.worth.parsed

    @cached_property
    def _starts(self) -> list[int]:
        """The place at which the attempts at each prompt begin."""
        return list(accumulate((len(rollout.completions) for rollout in self.rollouts), initial=0))

    def of(self, prompt: int) -> dict[str, Json]:
        rewards, verdicts, parsed = self._judged
        rollout, places, start = self.rollouts[prompt], self.picked[prompt], self._starts[prompt]
        end = start + len(rollout.completions)
        counted = {place - start for place in places}
        scores = [score for place in places if (score := rewards[place]) is not None]
        return {
            "n": len(scores),
            "correct": sum(score >= RIGHT for score in scores),
            "parsed": sum(parsed[place] for place in places),
            "finished": sum(rollout.completions[place].finished for place in sorted(counted)),
            "mean_score": math.fsum(scores) / len(scores) if scores else None,
            "mean_length": float(np.mean([len(completion.tokens) for completion in rollout.completions])),
            "first_response": rollout.responses[0],
            "attempts": attempts_at(rollout, rewards[start:end], verdicts[start:end], counted),
        }
