"""What a model makes of reference solutions: how likely each token is, and what it does once some of it is given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context
from ptc.runtime.engines.protocol import Completion, Engine, Request
from ptc.runtime.nodes.chunks import in_chunks, write_summary
from ptc.runtime.nodes.evals import RIGHT
from ptc.runtime.nodes.opened import OpenedModels
from ptc.runtime.references import references
from ptc.runtime.render import render_prompts, render_responses
from ptc.runtime.rendering.tables import prompts_of, shown_prompts
from ptc.runtime.rendering.template import decode_all, encode
from ptc.runtime.rewards import Rewards, spelled
from ptc.runtime.rollouts import Rollout, rows_of, sampling_of, seeds_for
from ptc.runtime.row_steps import identities
from ptc.runtime.tables import COUNTS_FILE, column, read_rows, write_table

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_COUNTS = pa.schema(
    {
        "prompt_id": pa.string(),
        "reference": pa.string(),
        "tokens": pa.list_(pa.string()),
        "logps": pa.list_(pa.float64()),
        "free_running": pa.float64(),
        "prefix": pa.list_(pa.struct({"share": pa.float64(), "n": pa.int64(), "correct": pa.int64()})),
    }
)


def reference_probe(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """`counts.parquet` by prompt with a reference: its tokens and their log-probabilities, teacher-forced, the end of
    sequence with them; how often attempts have the reference's token at its place (`free_running`); and for each share
    of the reference given how many of the attempts that go on from it are right."""
    rows = read_rows(inputs["prompts"])
    golds = references(rows, node.settings, inputs)
    known = [row for row, gold in enumerate(golds) if gold is not None]
    rows, texts = rows.take(known), [gold for gold in golds if gold is not None]
    with (
        OpenedModels(inputs, context.profile) as models,
        Rewards(node.settings, context.profile.threads, models) as rewards,
    ):
        model = models("model")

        def measure(start: int, end: int) -> pa.Table:
            some = rows.slice(start, end - start)
            probe = _Probe(model.engine(0), model.tokenizer, some, texts[start:end], node.settings)
            return probe.counts(rewards)

        counts = in_chunks(rows.num_rows, context, measure)
    write_table(counts, out / COUNTS_FILE)
    likelihoods = [math.fsum(logps) / len(logps) for logps in column(counts, "logps")]
    summary = {
        "prompts": counts.num_rows,
        "n": node.settings["n"],
        "reference_likelihood": float(np.mean(likelihoods)),
        "verifier": spelled(node.settings),
    }
    context.log(summary)
    write_summary(summary, out)


@dataclass(frozen=True)
class _Probe:
    """Some prompts with their references, and a model."""

    engine: Engine
    tokenizer: PreTrainedTokenizerBase
    rows: pa.Table
    texts: Sequence[str]
    settings: Mapping[str, Json]

    def counts(self, rewards: Rewards) -> pa.Table:
        prompts = prompts_of(self.rows)
        shown = render_prompts(self.tokenizer, shown_prompts(self.rows))
        whole = render_responses(self.tokenizer, prompts, self.texts)
        logps = self.engine.logprobs(list(zip(shown, whole, strict=True)))
        written = encode(self.tokenizer, list(self.texts))
        shares = [float(share) for share in self.settings["shares"]]
        free: list[float] = []
        given: list[list[dict[str, Json]]] = [[] for _ in self.texts]
        for share in shares:
            begun = [tokens[: round(share * len(tokens))] for tokens in written]
            attempts = self._attempts(shown, begun, share)
            correct = self._correct(attempts, begun, shown, rewards)
            if share == 0:
                free = [_agreement(own, ids) for own, ids in zip(attempts, whole, strict=True)]
            for row, right in enumerate(correct):
                given[row].append({"share": share, "n": len(right), "correct": sum(right)})
        pieces = [decode_all(self.tokenizer, [[token] for token in ids]) for ids in whole]
        return pa.Table.from_pylist(
            [
                {
                    "prompt_id": identity,
                    "reference": text,
                    "tokens": tokens,
                    "logps": own,
                    "free_running": agreed,
                    "prefix": prefix,
                }
                for identity, text, tokens, own, agreed, prefix in zip(
                    identities(self.rows), self.texts, pieces, logps, free, given, strict=True
                )
            ],
            schema=_COUNTS,
        )

    def _attempts(
        self, shown: Sequence[Sequence[int]], begun: Sequence[Sequence[int]], share: float
    ) -> list[list[Completion]]:
        """Attempts that go on from the beginnings of the references, other ones for each share."""
        seeds = seeds_for(
            prompts_of(self.rows), int(self.settings["n"]), int(self.settings["seed"]), round(1000 * share)
        )
        asked = [Request([*ids, *own], seed) for ids, own, seed in zip(shown, begun, seeds, strict=True)]
        return self.engine.generate(asked, sampling_of(self.settings))

    def _correct(
        self,
        attempts: Sequence[Sequence[Completion]],
        begun: Sequence[Sequence[int]],
        shown: Sequence[Sequence[int]],
        rewards: Rewards,
    ) -> list[list[bool]]:
        """Which attempts are right, beginning and all; one that could not be judged is not."""
        prompts = prompts_of(self.rows)
        texts = iter(
            decode_all(
                self.tokenizer,
                [[*own, *one.tokens] for own, some in zip(begun, attempts, strict=True) for one in some],
            )
        )
        rollouts = [
            Rollout(prompt, tuple(ids), tuple(some), tuple(next(texts) for _ in some))
            for prompt, ids, some in zip(prompts, shown, attempts, strict=True)
        ]
        scores = iter(rewards(rows_of(self.rows, rollouts)).rewards)
        return [[(next(scores) or 0.0) >= RIGHT for _ in some] for some in attempts]


def _agreement(attempts: Sequence[Completion], reference: Sequence[int]) -> float:
    """The share of the reference's places at which attempts have its token: free-running step accuracy."""
    hits = [sum(a == b for a, b in zip(one.tokens, reference, strict=False)) for one in attempts]
    return sum(hits) / (len(attempts) * len(reference))
