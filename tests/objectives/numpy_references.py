"""The objectives of the library once more, row by row, in NumPy and float64, after the formulas of their papers.

`now` is the learner as it is differentiated, `then` the same numbers standing still: what a formula holds without
gradient is taken from `then`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from ptc.runtime.batches import Sample

Array = np.ndarray


@dataclass(frozen=True)
class World:
    """A batch of groups of one source, and what each model says of each column, sample after sample."""

    groups: Sequence[Sequence[Sample]]
    said: dict[tuple[str, str], Sequence[Array]]
    """By the role's name and the column: logits (tokens, vocabulary), values (tokens,), or scores (texts or steps,).

    The learner is ``now`` and ``then``; another trained model has its role's name, and behind it ``then``.
    """

    @property
    def samples(self) -> list[Sample]:
        return [sample for group in self.groups for sample in group]

    @property
    def count(self) -> int:
        return len(self.samples)

    def dist(self, model: str, i: int, column: str = "response", temperature: float = 1.0) -> Array:
        scaled = self.said[model, column][i] / temperature
        top = scaled.max(-1, keepdims=True) if len(scaled) else np.zeros((0, 1))
        return scaled - top - np.log(np.exp(scaled - top).sum(-1, keepdims=True))

    def logp(self, model: str, i: int, column: str = "response", temperature: float = 1.0) -> Array:
        tokens = np.array(self.samples[i].sequences[column][1], dtype=int)
        return self.dist(model, i, column, temperature)[np.arange(len(tokens)), tokens]

    def sampler(self, i: int) -> Array:
        return np.array(self.samples[i].token_numbers["logprobs"])

    def number(self, name: str) -> Array:
        return np.array([sample.numbers[name] for sample in self.samples])

    def step_rewards(self) -> list[list[float]]:
        return [list(sample.step_numbers["step_rewards"]) for sample in self.samples]

    def members(self) -> list[list[int]]:
        """The samples of each group."""
        ends = np.cumsum([len(group) for group in self.groups])
        return [list(range(end - len(group), end)) for group, end in zip(self.groups, ends, strict=True)]

    def per_sample(self, function: Callable[[int], float]) -> float:
        return sum(function(i) for i in range(self.count)) / self.count

    def per_token(self, function: Callable[[int], Array]) -> float:
        return float(np.concatenate([function(i) for i in range(self.count)]).mean())


def mean(values: Array) -> float:
    """Of the tokens of a sample; 0 where it has none."""
    return float(values.mean()) if len(values) else 0.0


def log_sigmoid(x: float) -> float:
    return -float(np.logaddexp(0, -x))


def sigmoid(x: float) -> float:
    return float(np.exp(log_sigmoid(x)))


def clipped(ratio: Array, advantage: Array | float, low: float = 0.2, high: float = 0.2) -> Array:
    return np.minimum(ratio * advantage, np.clip(ratio, 1 - low, 1 + high) * advantage)


def suffix(values: Array) -> Array:
    return np.array([values[t:].sum() for t in range(len(values))])


def kl(one: Array, other: Array) -> Array:
    return (np.exp(one) * (one - other)).sum(-1)


# Whole texts, values, scores and steps -------------------------------------------------------------------------------


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


# Token targets --------------------------------------------------------------------------------------------------------


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


# Preferences ----------------------------------------------------------------------------------------------------------


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


# Rewards --------------------------------------------------------------------------------------------------------------


def standardised(w: World) -> Array:
    rewards, advantages = w.number("reward"), np.zeros(w.count)
    for members in w.members():
        spread = rewards[members].std(ddof=1) if len(members) > 1 else 0.0
        advantages[members] = (rewards[members] - rewards[members].mean()) / (spread + 1e-4)
    return advantages


def centred(w: World) -> Array:
    rewards, advantages = w.number("reward"), np.zeros(w.count)
    for members in w.members():
        advantages[members] = rewards[members] - rewards[members].mean()
    return advantages


def ratio(w: World, i: int) -> Array:
    return np.exp(w.logp("now", i) - w.sampler(i))


def k3(w: World, i: int) -> Array:
    q = np.exp(w.logp("reference", i) - w.logp("now", i))
    return q - np.log(q) - 1


def entropy_bonus(w: World) -> float:
    return w.per_token(lambda i: (np.exp(w.dist("now", i)) * w.dist("now", i)).sum(-1))


def reinforce(w: World) -> float:
    held = np.array([(w.logp("then", i) - w.logp("reference", i)).sum() for i in range(w.count)])
    reward = w.number("reward") - 0.1 * held
    return -w.per_sample(lambda i: (reward[i] - reward.mean()) * w.logp("now", i).sum())


def reinforce_pp(w: World) -> float:
    returns = [w.number("reward")[i] - 0.1 * suffix(w.logp("then", i) - w.logp("reference", i)) for i in range(w.count)]
    flat = np.concatenate(returns)
    return -w.per_token(lambda i: clipped(ratio(w, i), (returns[i] - flat.mean()) / (flat.std(ddof=1) + 1e-4)))


def rloo(w: World) -> float:
    held = np.array([(w.sampler(i) - w.logp("reference", i)).sum() for i in range(w.count)])
    reward, losses = w.number("reward") - 0.1 * held, []
    for members in w.members():
        for i in members:
            others = [reward[j] for j in members if j != i]
            advantage = reward[i] - sum(others) / len(others) if others else 0.0
            whole = np.exp(w.logp("now", i).sum() - w.sampler(i).sum())
            losses.append(-clipped(whole, advantage))
    return float(np.mean(losses))


def grpo(w: World) -> float:
    """With truncated importance weights: one step per batch, so the ratio is 1 where the gradient is taken."""
    advantage = standardised(w)

    def sample(i: int) -> float:
        step = np.exp(w.logp("now", i) - w.logp("then", i))
        weight = np.minimum(np.exp(w.logp("then", i) - w.sampler(i)), 2)
        return mean(0.05 * step * k3(w, i) - weight * clipped(step, advantage[i], high=0.28))

    return w.per_sample(sample)


def dr_grpo(w: World) -> float:
    advantage = centred(w)
    return w.per_sample(lambda i: float((0.05 * k3(w, i) - clipped(ratio(w, i), advantage[i])).sum()) / 4)


def dapo(w: World) -> float:
    advantage = standardised(w)
    return w.per_token(lambda i: 0.05 * k3(w, i) - clipped(ratio(w, i), advantage[i], high=0.28))


def gspo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        whole = np.exp(mean(w.logp("now", i) - w.sampler(i)))
        return 0.05 * mean(k3(w, i)) - float(clipped(whole, advantage[i], 3e-4, 4e-4))

    return w.per_sample(sample)


def cispo(w: World) -> float:
    advantage = standardised(w)

    def token(i: int) -> Array:
        weight = np.minimum(np.exp(w.logp("then", i) - w.sampler(i)), 5)
        return weight * advantage[i] * w.logp("now", i)

    return -w.per_token(token)


def lite_ppo(w: World) -> float:
    advantage = centred(w) / (w.number("reward").std(ddof=1) + 1e-4)
    return -w.per_token(lambda i: clipped(ratio(w, i), advantage[i]))


def sapo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        sharp = 1.0 if advantage[i] > 0 else 1.05
        return mean(4 / sharp / (1 + np.exp(-sharp * (ratio(w, i) - 1))) * advantage[i])

    return -w.per_sample(sample)


def luspo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        whole = np.exp(mean(w.logp("now", i) - w.sampler(i)))
        return len(w.sampler(i)) * float(clipped(whole, advantage[i], 3e-4, 4e-4))

    return -w.per_sample(sample)


def vespo(w: World) -> float:
    advantage = standardised(w)

    def token(i: int) -> Array:
        whole = float(np.exp((w.logp("then", i) - w.sampler(i)).sum()))
        power, decay = (2, 3) if advantage[i] >= 0 else (3, 2)
        return whole**power * np.exp(decay * (1 - whole)) * advantage[i] * w.logp("now", i)

    return -w.per_token(token)


def two_sided_grpo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        free = np.minimum(ratio(w, i), 1.5) * advantage[i]
        return mean(np.minimum(free, np.clip(ratio(w, i), 0.8, 1.2) * advantage[i]))

    return -w.per_sample(sample)


def deepseek_grpo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        kept = advantage[i] >= 0 or mean(w.sampler(i) - w.logp("then", i)) <= 0.5
        return mean(0.05 * ratio(w, i) * k3(w, i) - kept * clipped(ratio(w, i), advantage[i]))

    return w.per_sample(sample)


def off_policy_grpo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        drift = float(np.exp((w.logp("then", i) - w.sampler(i)).sum()))
        step = np.exp(w.logp("now", i) - w.logp("then", i))
        return drift * (drift <= 3) * mean(clipped(step, advantage[i]))

    return -w.per_sample(sample)


# Teachers -------------------------------------------------------------------------------------------------------------


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
