"""Rewards: what is learned from attempts that the real engine makes and a verifier judges."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from enumerable import optima
from enumerable.policies import Policy, Response, divergence
from enumerable.table import Row, case, nats, share, worst
from enumerable.targets import HELD, POLICY
from enumerable.world import Stage, World

ANSWERS = {"x": "a", "y": "b"}
ROWS = [{"prompt": prompt, "answer": answer} for prompt, answer in ANSWERS.items()]
BASE = 2
"""Seed of a model to which both answers come easily enough."""
N = 128
"""Attempts at each prompt in a step: enough that some are right, also where a model begins with few."""
STEADY = {"steps": 500, "beta2": 0.999}
"""What Adam divides by, averaged over 50 steps only, goes with the noise of attempts: it ends up to 3 % beside."""
KL = 0.4
GREEDY = ("grpo", "cispo", "lite_ppo", "luspo", "sapo", "vespo", "two_sided_grpo", "off_policy_grpo")
SHRINKS = N / (N - 1)
"""An attempt is part of the mean that it is compared with, so that advantages are that much smaller than they seem."""


def reward(world: World, prompt: str, response: Response) -> float:
    """1 for the answer, and half a point less for two tokens: 0, 1/2 or -1/2."""
    right = world.text(response).strip() == ANSWERS[prompt]
    return float(right) - 0.5 * (len(response) >= 2)


def rollouts(tokens: int, n: int = N) -> str:
    late = " + 0.5 * overlong(limit = 2, buffer = 1)" if tokens == 2 else ""
    return f"source rollouts = asked |> sample(policy, n = {n}, max_tokens = {tokens}) |> score(exact{late})"


def trained(world: World, loss: str, base: Path, tokens: int = 2, **changes: Any) -> Policy:
    stage = Stage(
        roles=HELD if "reference" in loss else POLICY,
        loss=loss,
        sources=[rollouts(tokens)],
        **{"batch": "2 prompts", "lr": 0.005, **changes},
    )
    return world.policy(world.train(stage, {"policy": base, "reference": base}, ROWS), tokens)


def mean(policy: Policy, world: World) -> float:
    """The expected reward."""
    each = [policy.expected(prompt, partial(reward, world, prompt)) for prompt in policy.prompts]
    return float(np.mean(each))


def against(name: str, reference: Policy, optimum: Policy, policy: Policy, words: str) -> Iterator[Row]:
    """How far from the optimum, in which the reference does not lie."""
    start = divergence(reference, optimum)
    yield nats(name, f"KL from {words}, {start:.2f} at the start", 0.0, divergence(policy, optimum))


def penalised(world: World, name: str, call: str, **changes: Any) -> Iterator[Row]:
    """The reward less a KL to the reference: an objective whose gradient is that of the true KL."""
    base = world.model(BASE, 0.15)
    reference = world.policy(base, 2)
    optimum = optima.tilted(reference, partial(reward, world), KL)
    yield from against(name, reference, optimum, trained(world, call, base, **changes), "reference · exp(reward / kl)")


@case
def reinforce(world: World) -> Iterator[Row]:
    yield from penalised(world, "reinforce", f"reinforce(rollouts, policy, reference, kl = {KL})")


@case
def reinforce_pp(world: World) -> Iterator[Row]:
    yield from penalised(world, "reinforce_pp", f"reinforce_pp(rollouts, policy, reference, kl = {KL})")


@case
def rloo(world: World) -> Iterator[Row]:
    yield from penalised(world, "rloo", f"rloo(rollouts, policy, reference, kl = {KL})")


@case
def dr_grpo(world: World) -> Iterator[Row]:
    """`k3` in a loss pulls by the other divergence, KL(reference || policy), state by state."""
    base = world.model(BASE, 0.15)
    reference = world.policy(base, 2)
    optimum = optima.covering(reference, partial(reward, world), 1 * SHRINKS)
    policy = trained(world, "dr_grpo(rollouts, policy, reference, kl = 1, max_length = 2)", base)
    yield from against("dr_grpo", reference, optimum, policy, "reference · kl / (kl + V - Q)")


@case
def dapo(world: World) -> Iterator[Row]:
    """As `dr_grpo`, with rewards in units of their standard deviation."""
    base = world.model(BASE, 0.15)
    reference = world.policy(base, 2)
    optimum = optima.covering_scaled(reference, partial(reward, world), 1.5 * SHRINKS)
    policy = trained(world, "dapo(rollouts, policy, reference, kl = 1.5)", base)
    yield from against("dapo", reference, optimum, policy, "reference · kl / (kl + (V - Q) / std)")


def force(p: float) -> float:
    """How hard the advantages of a group pull at the log-odds of a right token that has the probability p.

    Of k right attempts among n each has the advantage √((n - k) / k), less what the deviation of a sample adds; so
    all pull by √(k / n · (1 - k / n) · (n - 1) / n), the mean over binomial k.
    """
    right = np.arange(N + 1)
    return float(binom.pmf(right, N, p) @ np.sqrt(right / N * (1 - right / N) * (N - 1) / N))


def standing(reference: float, kl: float) -> float:
    """P of the right token where advantages pull as hard as the KL: at reference · kl / (kl - A)."""
    return optima.root(lambda p: force(p) - kl * (p - reference), reference, 1 - 1e-6)


def tilting(reference: float, kl: float) -> float:
    """P of the right token where KL(policy || reference) pulls back as hard: at reference · exp(A / kl)."""

    def excess(p: float) -> float:
        rise = np.log(p / (1 - p)) - np.log(reference / (1 - reference))
        return force(p) - kl * p * (1 - p) * float(rise)

    return optima.root(excess, reference, 1 - 1e-6)


def one_token(world: World, name: str, call: str, kl: float) -> Row:
    """Attempts of one token, so that no length weighs them: policy = reference · kl / (kl - A)."""
    base = world.model(BASE, 0.15)
    policy, reference = trained(world, call, base, tokens=1, **STEADY), world.policy(base, 1)
    rows = []
    for prompt, answer in ANSWERS.items():
        token = world.ids(answer)[0]
        expected = standing(float(reference.conditional(prompt)[token]), kl)
        reached = float(policy.conditional(prompt)[token])
        rows.append(share(name, f"P of the answer, kl = {kl:g}, where reference · kl / (kl - A)", expected, reached))
    return worst(rows)


@case
def grpo(world: World) -> Iterator[Row]:
    yield one_token(world, "grpo", "grpo(rollouts, policy, reference, kl = 2)", 2)


@case
def weighed_by_the_ratio(world: World) -> Iterator[Row]:
    """Weighed by the ratio, `k3` has the gradient of KL(policy || reference)."""
    base, kl = world.model(BASE, 0.15), 2.0
    for call in (
        f"grpo(rollouts, policy, reference, kl = {kl}, unbiased_kl = true)",
        f"deepseek_grpo(rollouts, policy, reference, kl = {kl})",
    ):
        policy, reference = trained(world, call, base, tokens=1, **STEADY), world.policy(base, 1)
        rows = []
        for prompt, answer in ANSWERS.items():
            token = world.ids(answer)[0]
            expected = tilting(float(reference.conditional(prompt)[token]), kl)
            reached = float(policy.conditional(prompt)[token])
            words = "P of the answer, KL weighed by the ratio, where reference · exp(A / kl)"
            rows.append(share(call.split("(")[0], words, expected, reached))
        yield worst(rows)


@case
def gspo(world: World) -> Iterator[Row]:
    yield one_token(world, "gspo", "gspo(rollouts, policy, reference, kl = 2)", 2)


@case
def greedy(world: World) -> Iterator[Row]:
    """Without a KL nothing keeps the reward from its most: those whose clips, gates and weights never close."""
    for name in GREEDY:
        policy = trained(world, f"{name}(rollouts, policy)", world.model(BASE, 0.15), steps=150, lr=0.01)
        yield share(name, "expected reward without a KL, of 1/2 at most", 0.5, mean(policy, world))


@case
def entropy_bonus(world: World) -> Iterator[Row]:
    base = world.model(1, 0.3)
    stage = Stage(
        roles=POLICY,
        loss="entropy_bonus(attempts, policy)",
        sources=["source attempts = asked |> sample(policy, n = 16, max_tokens = 2)"],
        batch="2 prompts",
        steps=300,
    )
    policy = world.policy(world.train(stage, {"policy": base}, ROWS), 2)
    entropies = [-float(policy.conditional(prompt) @ policy.log[prompt, ()]) for prompt in policy.prompts]
    yield nats("entropy_bonus", "entropy of the first token, of 10", float(np.log(10)), min(entropies))
