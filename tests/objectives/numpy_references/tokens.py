"""What is learned from demonstrations, token by token."""

from __future__ import annotations

import numpy as np

from numpy_references.world import Array, World, clipped, kl


def sft(w: World) -> float:
    return -w.per_token(lambda i: w.logp("now", i))


def dft(w: World) -> float:
    return -w.per_token(lambda i: np.exp(w.logp("then", i)) * w.logp("now", i))


def anchored_sft(w: World) -> float:
    away = w.per_token(lambda i: kl(w.dist("now", i), w.dist("reference", i)))
    return 0.05 * away + dft(w)


def proximal_sft(w: World) -> float:
    return -w.per_token(lambda i: clipped(np.exp(w.logp("now", i) - w.logp("then", i)), 1.0))


def chord(w: World) -> float:
    def token(i: int) -> Array:
        p = np.exp(w.logp("then", i))
        return p * (1 - p) * w.logp("now", i)

    return -w.per_token(token)
