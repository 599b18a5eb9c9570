"""Reproducible sampling: seeds by hash, and one counter-based stream of uniforms per completion.

Token `t` of a completion is drawn by inverting the cumulative distribution at the completion's own `t`-th uniform. A
completion therefore depends on the weights, its prompt and its seed, and not on what else is in the batch, up to the
rounding of logits.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ptc.runtime.engines.protocol import Sampling

_COLUMNS = 64
"""Uniforms drawn from a stream at a time, at most."""
_32 = np.uint64(32)
_WORD = np.uint64(0xFFFFFFFF)


def seed_of(seed: int, *parts: int | str) -> int:
    """A seed of 63 bits for one purpose: the beginning of the SHA-256 of `seed` and the parts as a JSON list."""
    return int.from_bytes(hashlib.sha256(json.dumps([seed, *parts]).encode()).digest()[:8], "big") >> 1


class Uniforms:
    """One stream of uniforms in [0, 1) per seed: Philox with the seed as its key, and the position as its counter."""

    def __init__(self, seeds: Sequence[int], expected: int = _COLUMNS) -> None:
        """`expected` tokens per stream are usually enough; more are drawn when they are asked for."""
        self._keys = np.array(seeds, dtype=np.uint64)
        self._columns = max(2, min(expected + expected % 2, _COLUMNS))
        self._drawn = np.empty((len(seeds), 0))

    def at(self, position: int, rows: npt.NDArray[np.int64] | None = None) -> torch.Tensor:
        """Float64, shape (rows,): the uniform of token `position` of each row (of all where none are named)."""
        while position >= self._drawn.shape[1]:
            self._drawn = np.concatenate([self._drawn, self._more()], axis=1)
        column = self._drawn[:, position]
        return torch.from_numpy(column if rows is None else column[rows])

    def _more(self) -> npt.NDArray[np.float64]:
        first = self._drawn.shape[1] // 2
        words = philox(np.arange(first, first + self._columns // 2, dtype=np.uint64), self._keys[:, None])
        high, low = words[0::2], words[1::2]
        uniforms = ((high >> np.uint64(5)) * 67108864.0 + (low >> np.uint64(6))) / 9007199254740992.0
        return np.stack(list(uniforms), axis=2).reshape(len(self._keys), -1)


def philox(counter: npt.NDArray[np.uint64], key: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Philox4x32-10 (Salmon et al., 2011): four words of 32 bits per 64-bit counter and key.

    Counters and keys are broadcast together; the result has their shape behind a first axis of 4, words as uint64.
    """
    counter, key = np.broadcast_arrays(counter, key)
    words = [counter & _WORD, counter >> _32, np.zeros_like(counter), np.zeros_like(counter)]
    low, high = key & _WORD, key >> _32
    for _ in range(10):
        one, two = words[0] * np.uint64(0xD2511F53), words[2] * np.uint64(0xCD9E8D57)
        words = [(two >> _32) ^ words[1] ^ low, two & _WORD, (one >> _32) ^ words[3] ^ high, one & _WORD]
        low, high = (low + np.uint64(0x9E3779B9)) & _WORD, (high + np.uint64(0xBB67AE85)) & _WORD
    return np.stack(words)


def distribution(logits: torch.Tensor, sampling: Sampling, seen: torch.Tensor | None = None) -> torch.Tensor:
    """Log-probabilities (rows, vocabulary), in float32, of the next token under `sampling`; -inf outside its support.

    In vLLM's order: the penalty on tokens that were `seen` (bool, as the logits), temperature, `min_p`, the `top_k`
    likeliest, then the smallest set of likeliest tokens whose probabilities reach `top_p` (Holtzman et al., 2020).
    Temperature 0 is the argmax.
    """
    logits = logits.float()
    if seen is not None:
        penalty = sampling.repetition_penalty
        logits = torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)
    if sampling.temperature == 0:
        greedy = torch.full_like(logits, -torch.inf)
        return greedy.scatter_(1, logits.argmax(1, keepdim=True), 0.0)
    if sampling.temperature != 1:
        logits = logits / sampling.temperature
    if sampling.min_p > 0:
        least = logits.amax(1, keepdim=True) + math.log(sampling.min_p)
        logits = logits.masked_fill(logits < least, -torch.inf)
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
