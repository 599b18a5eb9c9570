"""What is learned from other models."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np

from numpy_references.rewards import ratio
from numpy_references.world import Array, World, kl, mean, suffix


def forward_kl(w: World) -> float:
    return w.per_token(lambda i: kl(w.dist("teacher", i, temperature=2), w.dist("now", i, temperature=2)))


def reverse_kl(w: World) -> float:
    return w.per_sample(lambda i: mean(kl(w.dist("now", i), w.dist("teacher", i))))


def gkd(w: World) -> float:
    def token(i: int) -> Array:
        own, theirs = w.dist("now", i), w.dist("teacher", i)
        mixture = np.log(0.3 * np.exp(theirs) + 0.7 * np.exp(own))
        return 0.3 * kl(theirs, mixture) + 0.7 * kl(own, mixture)

    return w.per_token(token)


def uld(w: World) -> float:
    def sample(i: int) -> float:
        own = np.exp(w.dist("now", i, temperature=2))
        theirs = np.exp(w.dist("teacher", i, "response by m1", temperature=2))
        apart = 0.0
        for place, row in zip(w.samples[i].met["response by m1"], theirs, strict=True):
            likeliest = [sorted(own[place], reverse=True), sorted(row, reverse=True)]
            apart += sum(abs(a - b) for a, b in zip_longest(*likeliest, fillvalue=0.0))
        return apart / len(own) if len(own) else 0.0

    return w.per_sample(sample)


def on_policy_distillation(w: World) -> float:
    return -w.per_token(lambda i: ratio(w, i) * (w.logp("teacher", i) - w.sampler(i)))


def mopd(w: World) -> float:
    route = w.number("route")

    def token(i: int) -> Array:
        teacher = ("teacher", "second", "third")[int(route[i])]
        return ratio(w, i) * (w.logp(teacher, i) - w.sampler(i))

    return -w.per_token(token)


def g_opd(w: World) -> float:
    def token(i: int) -> Array:
        before = w.logp("reference", i)
        return ratio(w, i) * (1.25 * (w.logp("teacher", i) - before) - (w.sampler(i) - before))

    return -w.per_token(token)


def minillm(w: World) -> float:
    def sample(i: int) -> float:
        gain = w.logp("teacher", i) - w.sampler(i)
        return mean(kl(w.dist("now", i), w.dist("teacher", i)) - ratio(w, i) * (suffix(gain) - gain))

    return w.per_sample(sample)
