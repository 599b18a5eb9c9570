"""Preferences without a closed Bradley–Terry margin: beside a likelihood, in other shapes, of single responses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from enumerable import optima
from enumerable.policies import Floats, Policy
from enumerable.preferences import PAIR, SURE, Learned, each_pair
from enumerable.table import Row, between, case, nats, share, worst
from enumerable.targets import HELD
from enumerable.world import Stage, World

P = 0.75
"""How often the first of a pair is preferred."""


def odds(name: str, learned: Learned, expected: float) -> Row:
    """The log-odds of the two answers, by the policy alone."""
    rows = [
        nats(name, "log-odds at p = 3/4", expected, learned.odds(prompt, *pair)) for prompt, pair in each_pair(PAIR)
    ]
    return worst(rows)


@case
def rpo(world: World) -> Iterator[Row]:
    """Nothing is left outside the two; their log-odds u solve β(σ(β(u - u₀)) - p) + (σ(u) - p) / n = 0."""
    learned = Learned(world, "rpo(rows, policy, reference, beta = 1)", PAIR)
    rows = []
    for prompt, pair in each_pair(PAIR):
        start = learned.odds(prompt, *pair) - learned.margin(prompt, *pair)

        def slope(u: float, start: float = start) -> float:
            return (optima.sigmoid(u - start) - P) + 0.5 * (optima.sigmoid(u) - P)

        rows.append(nats("rpo", "log-odds at p = 3/4", optima.root(slope, -9, 9), learned.odds(prompt, *pair)))
    yield worst(rows)
    yield share("rpo", "P of the two answers to x", 1.0, sum(np.exp(learned.logp("x", text)) for text in PAIR["x"]))


@case
def cpo(world: World) -> Iterator[Row]:
    """As `rpo`, without a reference: β(σ(βu) - p) + (σ(u) - p) / n = 0."""
    expected = optima.root(lambda u: 2 * (optima.sigmoid(2 * u) - P) + 0.5 * (optima.sigmoid(u) - P), -9, 9)
    yield odds("cpo", Learned(world, "cpo(rows, policy, beta = 2)", PAIR), expected)


@case
def free_ipo(world: World) -> Iterator[Row]:
    """A square and a likelihood: u - 1 / β · (2p - 1) + (σ(u) - p) = 0 for answers of two tokens."""
    expected = optima.root(lambda u: u - 1 / 0.5 * (2 * P - 1) + (optima.sigmoid(u) - P), -9, 9)
    yield odds("free_ipo", Learned(world, "free_ipo(rows, policy, beta = 0.5)", PAIR), expected)


@case
def slic(world: World) -> Iterator[Row]:
    """At p = 3/4 and β = 1/2 the likelihood is too weak to move the margin off the hinge's corner: u = 1 / β."""
    yield odds("slic", Learned(world, "slic(rows, policy, beta = 0.5)", PAIR, lr=0.005), 2.0)


@case
def orpo(world: World) -> Iterator[Row]:
    """The least of the loss over all distributions on the two answers and the rest, by search."""
    beta = 0.5

    def loss(shares: Floats) -> float:
        one, two = 0.5 * np.log(shares[:2] + 1e-300)
        odds = one - np.log1p(-np.exp(one) + 1e-15) - (two - np.log1p(-np.exp(two) + 1e-15))
        better = one + beta * np.log(optima.sigmoid(odds))
        worse = two + beta * np.log(optima.sigmoid(-odds))
        return -float(P * better + (1 - P) * worse)

    expected = optima.least(loss, 3)
    learned = Learned(world, f"orpo(rows, policy, beta = {beta})", PAIR)
    yield odds("orpo", learned, float(np.log(expected[0] / expected[1])))


def leading(x: float) -> float:
    """SimPO's condition at γ = 1/2: p · σ(γ - x) = (1 - p) · σ(γ + x)."""
    return P * optima.sigmoid(0.5 - x) - (1 - P) * optima.sigmoid(0.5 + x)


@case
def simpo(world: World) -> Iterator[Row]:
    learned = Learned(world, "simpo(rows, policy, beta = 2, gamma = 0.5)", PAIR)
    expected, words = optima.root(leading, -9, 9), "β · difference per token at p = 3/4"
    rows = [
        nats("simpo", words, expected, 2 * (learned.logp(prompt, one, True) - learned.logp(prompt, two, True)))
        for prompt, (one, two) in each_pair(PAIR)
    ]
    yield worst(rows)


@case
def alphapo(world: World) -> Iterator[Row]:
    learned = Learned(world, "alphapo(rows, policy, beta = 2, gamma = 0.5, alpha = 0.25)", PAIR)
    expected, words = optima.root(leading, -9, 9), "β · difference of rewards at p = 3/4"

    def worth(prompt: str, text: str) -> float:
        return float(1 - np.exp(-0.25 * learned.logp(prompt, text, True))) / 0.25

    rows = [
        nats("alphapo", words, expected, 2 * (worth(prompt, one) - worth(prompt, two)))
        for prompt, (one, two) in each_pair(PAIR)
    ]
    yield worst(rows)


# Of single responses --------------------------------------------------------------------------------------------------


def gains(name: str, learned: Learned, beta: float, first: float, second: float) -> Iterator[Row]:
    """β times the log-ratio of each answer."""
    for which, expected in enumerate((first, second)):
        words = f"β · log-ratio of the answer that is preferred with {(P, 1 - P)[which]:g}"
        rows = [
            nats(name, words, expected, beta * learned.gain(prompt, pair[which])) for prompt, pair in each_pair(PAIR)
        ]
        yield worst(rows)


@case
def sppo(world: World) -> Iterator[Row]:
    """Each log-ratio is regressed on ±1 / (2β)."""
    learned = Learned(world, "sppo(rows, policy, reference, beta = 0.5)", PAIR)
    yield from gains("sppo", learned, 0.5, 0.5 * (2 * P - 1), -0.5 * (2 * P - 1))


@case
def nca(world: World) -> Iterator[Row]:
    """p · log σ(x) + log σ(-x) / 2 is the most at e^x = 2p; at 1 - p for the other answer."""
    learned = Learned(world, "nca(rows, policy, reference, beta = 0.5)", PAIR)
    yield from gains("nca", learned, 0.5, float(np.log(2 * P)), float(np.log(2 * (1 - P))))


@case
def bco(world: World) -> Iterator[Row]:
    """A classifier's logits of both answers are ± log(p / (1 - p)) about their mean."""
    learned = Learned(world, "bco(rows, policy, reference, beta = 0.5)", PAIR)
    expected = 2 * float(np.log(P / (1 - P)))
    rows = [
        nats("bco", "β · margin at p = 3/4", expected, 0.5 * learned.margin(prompt, *pair))
        for prompt, pair in each_pair(PAIR)
    ]
    yield worst(rows)


def taken_and_left(world: World, name: str, policy: Policy, reference: Policy) -> Iterator[Row]:
    """What is good ends with everything; what is bad falls below where it was."""
    for prompt, (good, bad) in each_pair(SURE):
        reached = np.exp(policy.logp(prompt, world.ids(good)))
        yield share(name, f"P of the good answer to {prompt}", 1.0, float(reached))
        gain = policy.logp(prompt, world.ids(bad)) - reference.logp(prompt, world.ids(bad))
        yield between(name, f"log-ratio of the bad answer to {prompt}", -np.inf, -2.0, gain)


@case
def labelled(world: World) -> Iterator[Row]:
    rows = [
        {"prompt": prompt, "response": text, "label": good == 1, "answer": ""}
        for prompt, answers in SURE.items()
        for text, good in answers.items()
    ]
    strangers = [{**row, "response": other["response"]} for row, other in zip(rows, rows[2:] + rows[:2], strict=True)]
    for name, sources in (("kto", "rows"), ("kto_mismatched", "rows, more"), ("apo_zero_unpaired", "rows")):
        base = world.model(1, 0.15)
        stage = Stage(roles=HELD, loss=f"{name}({sources}, policy, reference, beta = 0.5)")
        policy = world.policy(world.train(stage, {"policy": base, "reference": base}, rows, more=strangers), 3)
        yield from taken_and_left(world, name, policy, world.policy(base, 3))


@case
def apo_zero(world: World) -> Iterator[Row]:
    learned = Learned(world, "apo_zero(rows, policy, reference, beta = 0.5)", SURE)
    yield from taken_and_left(world, "apo_zero", learned.policy, learned.reference)


@case
def apo_down(world: World) -> Iterator[Row]:
    """Both fall, the rejected more so."""
    learned = Learned(world, "apo_down(rows, policy, reference, beta = 0.5)", SURE, steps=120)
    for prompt, (good, bad) in each_pair(SURE):
        yield between(
            "apo_down", f"log-ratio of the chosen answer to {prompt}", -np.inf, -0.5, learned.gain(prompt, good)
        )
        yield between("apo_down", f"its lead at {prompt}", 2.0, np.inf, learned.margin(prompt, good, bad))
