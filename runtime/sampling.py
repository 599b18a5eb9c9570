"""Reproducible sampling: seeds by hash, and one counter-based stream of uniforms per completion.

Token `t` of a completion is drawn by inverting the cumulative distribution at the completion's own `t`-th uniform. A
completion therefore depends on the weights, its prompt and its seed, and not on what else is in the batch, up to the
rounding of logits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ptc.runtime.engines.protocol import Sampling

_COLUMNS = 64
"""Uniforms drawn from a stream at a time, at most."""


def seed_of(seed: int, *parts: int | str) -> int:
    """A seed of 63 bits for one purpose: the beginning of the SHA-256 of `seed` and the parts as a JSON list."""
    return int.from_bytes(hashlib.sha256(json.dumps([seed, *parts]).encode()).digest()[:8], "big") >> 1


class Uniforms:
    """One stream of uniforms in [0, 1) per seed: Philox (Salmon et al., 2011) with the seed as its key."""

    def __init__(self, seeds: Sequence[int], expected: int = _COLUMNS) -> None:
        """`expected` tokens per stream are usually enough."""
        self._columns = min(expected, _COLUMNS)
        self._streams = [np.random.Generator(np.random.Philox(key=seed)) for seed in seeds]
        self._drawn = np.empty((len(self._streams), 0))

    def at(self, position: int, rows: npt.NDArray[np.int64] | None = None) -> torch.Tensor:
        """Float64, shape (rows,): the uniform of token `position` of each row (of all where none are named)."""
        while position >= self._drawn.shape[1]:
            more = np.array([stream.random(self._columns) for stream in self._streams]).reshape(-1, self._columns)
            self._drawn = np.concatenate([self._drawn, more], axis=1)
        column = self._drawn[:, position]
        return torch.from_numpy(column if rows is None else column[rows])


def distribution(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Log-probabilities (rows, vocabulary), in float32, of the next token under `sampling`; -inf outside its support.

    Temperature comes first, then the `top_k` likeliest, then the smallest set of likeliest tokens whose probabilities
    reach `top_p` (Holtzman et al., 2020): the order of vLLM and transformers. Temperature 0 is the argmax.
    """
    logits = logits.float()
    if sampling.temperature == 0:
        greedy = torch.full_like(logits, -torch.inf)
        return greedy.scatter_(1, logits.argmax(1, keepdim=True), 0.0)
    if sampling.temperature != 1:
        logits = logits / sampling.temperature
    if 0 < sampling.top_k < logits.shape[1]:
        least = logits.topk(sampling.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if sampling.top_p < 1:
        logits = _nucleus(logits, sampling.top_p)
    return logits.log_softmax(1)


def draw(logprobs: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Int64, shape (rows,): for each row the token at which the cumulative distribution passes its uniform."""
    cumulative = logprobs.double().exp_().cumsum_(1)
    threshold = uniforms.to(cumulative.device).unsqueeze(1) * cumulative[:, -1:]
    return (cumulative <= threshold).sum(1).clamp_(max=logprobs.shape[1] - 1)


def _nucleus(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    ordered, order = logits.sort(dim=1, descending=True)
    probabilities = ordered.softmax(1)
    reached_before = probabilities.cumsum(1) - probabilities
    outside = reached_before >= top_p
    outside[:, 0] = False
    return logits.masked_fill(outside.scatter(1, order, outside), -torch.inf)
