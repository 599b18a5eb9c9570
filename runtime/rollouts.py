"""Prompts in, rows of completions out: one function for `sample` nodes, live flows of training stages and evals.

A completion's seed is drawn from (seed, step, prompt, attempt), so that it is the same in whatever order, chunk or
process its prompt is sampled.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.engines.protocol import Completion, Engine, Request, Sampling
from ptc.runtime.guidance import BEGINNING, BEGUN, BORNE, SHARE, SHOWN, beginnings, borne
from ptc.runtime.render import Prompt, render_prompts
from ptc.runtime.rendering.tables import prompts_of, shown_prompts
from ptc.runtime.rendering.template import decode_all
from ptc.runtime.sampling import seed_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


SPENT = (SHOWN, BEGINNING, SHARE, BORNE, BEGUN)
"""Columns of guidance that say nothing of rows once they have been sampled."""


@dataclass(frozen=True)
class Rollout:
    """One prompt and the attempts at it."""

    prompt: Prompt
    prompt_tokens: tuple[int, ...]
    completions: tuple[Completion, ...]
    responses: tuple[str, ...]
    """The text of each response, without special tokens."""
    begun: tuple[int, ...] = ()
    """The end of `prompt_tokens` that is the beginning of the response."""


def sampling_of(settings: Mapping[str, Json]) -> Sampling:
    """The sampling distribution that a node's settings, or a `sample` step of a flow, name."""
    return Sampling(
        temperature=float(settings["temperature"]),
        top_p=float(settings["top_p"]),
        top_k=int(settings["top_k"]),
        min_p=float(settings.get("min_p", 0.0)),
        repetition_penalty=float(settings.get("repetition_penalty", 1.0)),
        max_tokens=int(settings["max_tokens"]),
        stop=tuple(settings.get("stop", ())),
    )


def greedy_of(sampling: Sampling) -> Sampling:
    """The likeliest completion that ends where others do."""
    penalty = sampling.repetition_penalty
    return Sampling(temperature=0.0, repetition_penalty=penalty, max_tokens=sampling.max_tokens, stop=sampling.stop)


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
    rows: pa.Table,
    sampling: Sampling,
    seeds: Sequence[Sequence[int]],
    step: int = 0,
) -> list[Rollout]:
    """One completion per row and seed, in order, with what the row has to be shown (`runtime.guidance`).

    `prompt_tokens` are what is learned behind: without the hints that the loss does not see, with the beginning of a
    response that bears no loss. One that does is part of the response, with its log-probabilities at temperature 1.
    """
    prompts = prompts_of(rows)
    learned = render_prompts(tokenizer, prompts)
    shown = render_prompts(tokenizer, shown_prompts(rows)) if SHOWN in rows.column_names else learned
    begun = beginnings(rows, tokenizer, step)
    read = [[*ids, *own] for ids, own in zip(shown, begun, strict=True)]
    completions = engine.generate([Request(*one) for one in zip(read, map(list, seeds), strict=True)], sampling)
    whole = [[*own, *one.tokens] for own, attempts in zip(begun, completions, strict=True) for one in attempts]
    texts = iter(decode_all(tokenizer, whole))
    forced = _forced(engine, shown, begun, borne(rows))
    return [
        Rollout(
            prompts[row],
            (*learned[row], *(begun[row] if forced[row] is None else ())),
            tuple(attempts) if forced[row] is None else tuple(_begun(one, begun[row], forced[row]) for one in attempts),
            tuple(next(texts) for _ in attempts),
            tuple(begun[row]) if forced[row] is None else (),
        )
        for row, attempts in enumerate(completions)
    ]


def _forced(
    engine: Engine, shown: Sequence[Sequence[int]], begun: Sequence[Sequence[int]], bears: Sequence[bool]
) -> list[list[float] | None]:
    """Log-probabilities of the beginnings that bear loss; None where there is none."""
    rows = [row for row, tokens in enumerate(begun) if tokens and bears[row]]
    found: list[list[float] | None] = [None] * len(begun)
    if rows:
        for row, values in zip(rows, engine.logprobs([(shown[row], begun[row]) for row in rows]), strict=True):
            found[row] = values
    return found


def _begun(completion: Completion, tokens: Sequence[int], logprobs: Sequence[float] | None) -> Completion:
    assert logprobs is not None
    return replace(completion, tokens=(*tokens, *completion.tokens), logprobs=(*logprobs, *completion.logprobs))


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
    seeds = seeds_for(prompts_of(rows), n, seed, step)
    return rows_of(rows, sample(engine, tokenizer, rows, sampling, seeds, step))


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
    if any(rollout.begun for rollout in rollouts):
        sampled[BEGUN] = pa.array([rollout.begun for rollout in rollouts], _TOKENS).take(pa.array(groups))
    stale = [name for name in (*sampled, *SPENT) if name in rows.column_names]
    table = rows.drop_columns(stale).take(pa.array(groups))
    for name, values in sampled.items():
        table = table.append_column(name, values)
    return table


def _spelled(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False, sort_keys=True)


_TOKENS = pa.list_(pa.int32())
