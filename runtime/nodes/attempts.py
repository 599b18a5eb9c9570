"""What an eval keeps of every attempt: the column `attempts` of its counts, a list of structs per prompt."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.rollouts import Rollout

ATTEMPTS = pa.list_(
    pa.struct(
        {
            "response": pa.string(),
            "score": pa.float64(),
            "verdict": pa.string(),
            "finished": pa.bool_(),
            "tokens": pa.int32(),
            "logp": pa.float64(),
            "counts": pa.bool_(),
        }
    )
)
"""`score` is null where nothing could be said; `verdict` is the scorer's, in words; `logp` is the sum of the
log-probabilities of the response's tokens under the sampling distribution, in nats; `counts` is false of what a
scaffold has passed over."""


def attempts_at(
    rollout: Rollout, scores: Sequence[float | None], verdicts: Sequence[str], counted: Collection[int]
) -> list[dict[str, Json]]:
    """The attempts at one prompt, in the order in which they were drawn; `counted` are the places of those that count
    among them."""
    return [
        {
            "response": response,
            "score": score,
            "verdict": verdict,
            "finished": completion.finished,
            "tokens": len(completion.tokens),
            "logp": math.fsum(completion.logprobs),
            "counts": place in counted,
        }
        for place, (completion, response, score, verdict) in enumerate(
            zip(rollout.completions, rollout.responses, scores, verdicts, strict=True)
        )
    ]
