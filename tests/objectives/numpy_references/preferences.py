"""Pairs, and single responses that are liked or not."""

from __future__ import annotations

import numpy as np

from numpy_references.world import World, log_sigmoid, mean, sigmoid


def log_ratio(w: World, i: int, column: str, per_token: bool = False) -> float:
    values = w.logp("now", i, column) - w.logp("reference", i, column)
    return float(values.mean() if per_token else values.sum())


def margin(w: World, i: int, per_token: bool = False) -> float:
    return log_ratio(w, i, "chosen", per_token) - log_ratio(w, i, "rejected", per_token)


def dpo(w: World) -> float:
    return -w.per_sample(lambda i: log_sigmoid(0.3 * margin(w, i)))


def dpo_norm(w: World) -> float:
    return -w.per_sample(lambda i: log_sigmoid(5 * margin(w, i, per_token=True)))


def cdpo(w: World) -> float:
    return -w.per_sample(lambda i: 0.9 * log_sigmoid(0.1 * margin(w, i)) + 0.1 * log_sigmoid(-0.1 * margin(w, i)))


def robust(w: World) -> float:
    def pair(i: int) -> float:
        m = 0.1 * margin(w, i)
        return -(0.9 * log_sigmoid(m) - 0.1 * log_sigmoid(-m)) / 0.8

    return w.per_sample(pair)


def ipo(w: World) -> float:
    return w.per_sample(lambda i: (margin(w, i, per_token=True) - 5) ** 2)


def hinge(w: World) -> float:
    return w.per_sample(lambda i: max(0.0, 1 - 0.1 * margin(w, i)))


def rewards(w: World, i: int) -> tuple[float, float]:
    """The log-ratios of the two responses of a pair."""
    return log_ratio(w, i, "chosen"), log_ratio(w, i, "rejected")


def wpo(w: World) -> float:
    def sure(i: int, column: str) -> float:
        squares = np.log((np.exp(w.dist("then", i, column)) ** 2).sum(-1))
        return float((w.logp("then", i, column) - squares).mean())

    return -w.per_sample(lambda i: np.exp(sure(i, "chosen") + sure(i, "rejected")) * log_sigmoid(0.1 * margin(w, i)))


def ld_dpo(w: World) -> float:
    def pair(i: int) -> float:
        away = [w.logp("now", i, c) - w.logp("reference", i, c) for c in ("chosen", "rejected")]
        shared = min(map(len, away))
        better, worse = (x[:shared].sum() + 0.5 * x[shared:].sum() for x in away)
        return -log_sigmoid(0.1 * (better - worse))

    return w.per_sample(pair)


def exo(w: World) -> float:
    def pair(i: int) -> float:
        p = np.array([sigmoid(0.1 * margin(w, i)), sigmoid(-0.1 * margin(w, i))])
        return float((p * np.log(p / np.array([0.9, 0.1]))).sum())

    return w.per_sample(pair)


def nca(w: World) -> float:
    def pair(i: int) -> float:
        better, worse = (0.1 * x for x in rewards(w, i))
        return -log_sigmoid(better) - 0.5 * log_sigmoid(-better) - 0.5 * log_sigmoid(-worse)

    return w.per_sample(pair)


def bco(w: World) -> float:
    usual = np.mean([w.logp("then", i, c).sum() - w.logp("reference", i, c).sum()
                     for i in range(w.count) for c in ("chosen", "rejected")])  # fmt: skip

    def pair(i: int) -> float:
        better, worse = rewards(w, i)
        return -log_sigmoid(0.1 * (better - usual)) - log_sigmoid(0.1 * (usual - worse))

    return w.per_sample(pair)


def sppo(w: World) -> float:
    return w.per_sample(lambda i: (rewards(w, i)[0] - 5) ** 2 + (rewards(w, i)[1] + 5) ** 2)


def apo_zero(w: World) -> float:
    return w.per_sample(lambda i: sigmoid(-0.1 * rewards(w, i)[0]) + sigmoid(0.1 * rewards(w, i)[1]))


def apo_down(w: World) -> float:
    return w.per_sample(lambda i: sigmoid(0.1 * rewards(w, i)[0]) + sigmoid(-0.1 * margin(w, i)))


def discopop(w: World) -> float:
    def pair(i: int) -> float:
        m = 0.05 * margin(w, i)
        blend = sigmoid(m / 0.05)
        return float(blend * np.exp(-m) + (1 - blend) * np.log1p(np.exp(-m)))

    return w.per_sample(pair)


def dpo_forward_kl(w: World) -> float:
    return -w.per_sample(lambda i: log_sigmoid(0.1 * float(np.subtract(*(-np.exp(-x) for x in rewards(w, i))))))


def dpo_js(w: World) -> float:
    def slope(x: float) -> float:
        u = np.exp(x)
        return float(np.log(2 * u / (1 + u)))

    return -w.per_sample(lambda i: log_sigmoid(0.1 * (slope(rewards(w, i)[0]) - slope(rewards(w, i)[1]))))


def dpo_alpha(w: World) -> float:
    def slope(x: float) -> float:
        return float((1 - np.exp(x) ** -0.3) / 0.3)

    return -w.per_sample(lambda i: log_sigmoid(0.1 * (slope(rewards(w, i)[0]) - slope(rewards(w, i)[1]))))


def rpo(w: World) -> float:
    return -w.per_sample(lambda i: log_sigmoid(0.1 * margin(w, i)) + mean(w.logp("now", i, "chosen")))


def kto(w: World) -> float:
    def gain(i: int, model: str) -> float:
        return float((w.logp(model, i) - w.logp("reference", i)).sum())

    base, label = max(0.0, w.per_sample(lambda i: gain(i, "then"))), w.number("label")
    return w.per_sample(
        lambda i: (
            1 - sigmoid(0.1 * (gain(i, "now") - base))
            if label[i]
            else 1.5 * (1 - sigmoid(0.1 * (base - gain(i, "now"))))
        )
    )


def kto_mismatched(w: World, strangers: World) -> float:
    away = [strangers.logp("then", i).sum() - strangers.logp("reference", i).sum() for i in range(strangers.count)]
    base, label = max(0.0, float(np.mean(away))), w.number("label")

    def row(i: int) -> float:
        gain = float((w.logp("now", i) - w.logp("reference", i)).sum())
        return sigmoid(-0.1 * (gain - base)) if label[i] else 1.5 * sigmoid(0.1 * (gain - base))

    return w.per_sample(row)


def apo_zero_unpaired(w: World) -> float:
    def row(i: int) -> float:
        gain = float((w.logp("now", i) - w.logp("reference", i)).sum())
        return sigmoid(-0.1 * gain) if w.number("label")[i] else 1.5 * sigmoid(0.1 * gain)

    return w.per_sample(row)


def nll(w: World) -> float:
    return -w.per_token(lambda i: w.logp("now", i, "chosen"))


def orpo(w: World) -> float:
    def pair(i: int) -> float:
        good, bad = (float(w.logp("now", i, column).mean()) for column in ("chosen", "rejected"))
        odds = [np.exp(x) / (1 - np.exp(x)) for x in (good, bad)]
        return -log_sigmoid(float(np.log(odds[0] / odds[1])))

    return nll(w) + 0.1 * w.per_sample(pair)


def simpo(w: World) -> float:
    def pair(i: int) -> float:
        gap = w.logp("now", i, "chosen").mean() - w.logp("now", i, "rejected").mean()
        return -log_sigmoid(0.1 * gap - 0.5)

    return w.per_sample(pair)


def alphapo(w: World) -> float:
    def pair(i: int) -> float:
        good, bad = ((1 - np.exp(w.logp("now", i, c).mean()) ** -0.25) / 0.25 for c in ("chosen", "rejected"))
        return -log_sigmoid(0.1 * float(good - bad) - 0.5)

    return w.per_sample(pair)


def lead(w: World, i: int) -> float:
    return float(w.logp("now", i, "chosen").sum() - w.logp("now", i, "rejected").sum())


def cpo(w: World) -> float:
    return nll(w) - w.per_sample(lambda i: log_sigmoid(0.1 * lead(w, i)))


def slic(w: World) -> float:
    return nll(w) + w.per_sample(lambda i: max(0.0, 1 - 0.1 * lead(w, i)))


def free_ipo(w: World) -> float:
    def pair(i: int) -> float:
        return float(w.logp("now", i, "chosen").mean() - w.logp("now", i, "rejected").mean() - 5) ** 2

    return nll(w) + w.per_sample(pair)
