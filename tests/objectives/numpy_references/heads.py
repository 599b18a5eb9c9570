"""Whole texts, values, scores, steps, traces and contexts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numpy_references.rewards import ratio
from numpy_references.world import World, clipped, kl, mean


def pretrain(w: World) -> float:
    return -w.per_token(lambda i: w.logp("now", i, "text"))


def bradley_terry(w: World) -> float:
    def pair(i: int) -> float:
        better, worse = (float(w.said["now", side][i][0]) for side in ("chosen", "rejected"))
        return 0.01 * (better + worse) ** 2 + float(np.log(1 + np.exp(worse - better)))

    return w.per_sample(pair)


def prm(w: World) -> float:
    losses = []
    for i, sample in enumerate(w.samples):
        for label, score in zip(sample.step_numbers["step_labels"], w.said["now", "steps"][i], strict=True):
            right = 1 / (1 + np.exp(-score))
            losses.append(-np.log(right if label else 1 - right))
    return float(np.mean(losses))


def ppo(w: World) -> float:
    losses: list[float] = []
    for i, sample in enumerate(w.samples):
        before, guess = w.logp("then", i), w.said["critic then", "response"][i]
        count = len(before)
        reward = -0.05 * (before - w.logp("reference", i))
        if count:
            reward[-1] += sample.numbers["reward"]
        advantage, following = np.zeros(count), 0.0
        for t in reversed(range(count)):
            after = guess[t + 1] if t + 1 < count else 0.0
            advantage[t] = following = reward[t] + after - guess[t] + 0.95 * following
        miss = w.said["critic", "response"][i] - (guess + advantage)
        losses += list(0.1 * miss**2 - clipped(ratio(w, i), advantage))
    return float(np.mean(losses))


def by_steps(w: World, worth: Callable[[list[float], int], float]) -> float:
    """The clipped gain of each token, whose advantage is that of its step; without a step it has none."""
    credits = [[worth(rewards, k) for k in range(len(rewards))] for rewards in w.step_rewards()]
    losses: list[float] = []
    for members in w.members():
        usual = np.mean([credit for j in members for credit in credits[j]])
        for i in members:
            steps = w.samples[i].steps["response"]
            advantage = np.array([credits[i][k] - usual if k >= 0 else 0.0 for k in steps])
            losses += list(-clipped(ratio(w, i), advantage))
    return float(np.mean(losses))


def process_sum(w: World) -> float:
    return by_steps(w, lambda rewards, k: sum(0.9 ** (j - k) * rewards[j] for j in range(k, len(rewards))))


def process_min(w: World) -> float:
    return by_steps(w, lambda rewards, k: min(rewards[k:]))


def luffy(own: World, traces: World) -> float:
    gained, tokens = 0.0, 0
    for mine, theirs in zip(own.members(), traces.members(), strict=True):
        rewards = [*own.number("reward")[mine], *traces.number("reward")[theirs]]
        usual = sum(rewards) / len(rewards)
        for i in mine:
            gain = clipped(ratio(own, i), own.number("reward")[i] - usual)
            gained, tokens = gained + float(gain.sum()), tokens + len(gain)
        for i in theirs:
            p = np.exp(traces.logp("now", i))
            gain = p / (p + 0.1) * (traces.number("reward")[i] - usual)
            gained, tokens = gained + float(gain.sum()), tokens + len(gain)
    return -gained / tokens


def context_distillation(w: World) -> float:
    return w.per_sample(lambda i: mean(kl(w.dist("teacher", i, "response given context"), w.dist("now", i))))


def self_distillation(w: World) -> float:
    return w.per_sample(lambda i: mean(kl(w.dist("now", i), w.dist("teacher", i, "response given context"))))
