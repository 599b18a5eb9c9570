"""Prompts in, rows of completions out: one function for `sample` nodes, live flows of training stages and evals.

A completion's seed is drawn from (seed, step, prompt, attempt), so that it is the same in whatever order, chunk or
process its prompt is sampled.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.engines.protocol import Completion, Engine, Request, Sampling
from ptc.runtime.render import Prompt, render_prompts
from ptc.runtime.rendering.tables import prompts_of
from ptc.runtime.rendering.template import decode_all
from ptc.runtime.sampling import seed_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Rollout:
    """One prompt and the attempts at it."""

    prompt: Prompt
    prompt_tokens: tuple[int, ...]
    completions: tuple[Completion, ...]
    responses: tuple[str, ...]
    """The text of each completion, without special tokens."""


def sampling_of(settings: Mapping[str, Json]) -> Sampling:
    """The sampling distribution that a node's settings, or a `sample` step of a flow, name."""
    return Sampling(
        temperature=float(settings["temperature"]),
        top_p=float(settings["top_p"]),
        top_k=int(settings["top_k"]),
        max_tokens=int(settings["max_tokens"]),
    )


def seeds_for(prompts: Sequence[Prompt], n: int, seed: int, step: int = 0) -> list[list[int]]:
    """`n` seeds per prompt. The second occurrence of a prompt gets the seeds of the attempts n to 2n - 1, and so on."""
    seen: Counter[str] = Counter()
    seeds = []
    for prompt in map(_spelled, prompts):
        first = n * seen[prompt]
        seen[prompt] += 1
        base = seed_of(seed, "sample", step, prompt)
        seeds.append([seed_of(base, attempt) for attempt in range(first, first + n)])
    return seeds


def sample(
    engine: Engine,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    seeds: Sequence[Sequence[int]],
) -> list[Rollout]:
    """One completion per prompt and seed, in order."""
    tokens = render_prompts(tokenizer, prompts)
    requests = [Request(ids, list(own)) for ids, own in zip(tokens, seeds, strict=True)]
    completions = engine.generate(requests, sampling)
    texts = iter(decode_all(tokenizer, [completion.tokens for attempts in completions for completion in attempts]))
    return [
        Rollout(prompt, tuple(ids), tuple(attempts), tuple(next(texts) for _ in attempts))
        for prompt, ids, attempts in zip(prompts, tokens, completions, strict=True)
    ]


def sample_rows(
    engine: Engine,
    tokenizer: PreTrainedTokenizerBase,
    rows: pa.Table,
    sampling: Sampling,
    n: int,
    seed: int,
    step: int = 0,
) -> pa.Table:
    """`n` rows per row: its columns, and those of `rows_of`."""
    prompts = prompts_of(rows)
    return rows_of(rows, sample(engine, tokenizer, prompts, sampling, seeds_for(prompts, n, seed, step)))


def rows_of(rows: pa.Table, rollouts: Sequence[Rollout], first_group: int = 0) -> pa.Table:
    """One row per attempt: the columns of the prompt's row, and what was sampled (`docs/graph.md`)."""
    attempts = [len(rollout.completions) for rollout in rollouts]
    flat = [completion for rollout in rollouts for completion in rollout.completions]
    groups = np.repeat(np.arange(len(rollouts)), attempts)
    sampled = {
        "response": pa.array([text for rollout in rollouts for text in rollout.responses], pa.string()),
        "group": pa.array(groups + first_group),
        "attempt": pa.array(np.concatenate([np.arange(count) for count in attempts])),
        "prompt_tokens": pa.array([rollout.prompt_tokens for rollout in rollouts], _TOKENS).take(pa.array(groups)),
        "response_tokens": pa.array([completion.tokens for completion in flat], _TOKENS),
        "logprobs": pa.array([completion.logprobs for completion in flat], pa.list_(pa.float32())),
        "finished": pa.array([completion.finished for completion in flat], pa.bool_()),
    }
    table = rows.drop_columns([name for name in sampled if name in rows.column_names]).take(pa.array(groups))
    for name, values in sampled.items():
        table = table.append_column(name, values)
    return table


def _spelled(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False, sort_keys=True)


_TOKENS = pa.list_(pa.int32())
