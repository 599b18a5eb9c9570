"""Preferences: pairs that a Bradley–Terry judge has labelled, in exactly its proportions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
from enumerable import optima
from enumerable.policies import Floats, Policy
from enumerable.table import Row, between, case, nats, share, worst
from enumerable.targets import HELD, POLICY
from enumerable.world import Stage, World

WORTH = {"x": {"a": 9, "b": 3, "cb": 1}, "y": {"c": 9, "ab": 3, "b": 1}}
"""Odds: of two answers the one is preferred as often as its number says."""
PAIR = {"x": {"a": 3, "b": 1}, "y": {"c": 3, "b": 1}}
SURE = {"x": {"a": 1, "b": 0}, "y": {"c": 1, "ab": 0}}


def pairs(worth: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    rows = []
    for prompt, answers in worth.items():
        for first, second in combinations(answers, 2):
            divisor = int(np.gcd(answers[first], answers[second]))
            for chosen, rejected in ((first, second), (second, first)):
                row = {"prompt": prompt, "chosen": chosen, "rejected": rejected, "answer": ""}
                rows += [row] * (answers[chosen] // divisor)
    return rows


class Learned:
    """A policy, and what it was."""

    def __init__(self, world: World, loss: str, worth: Mapping[str, Mapping[str, int]], **changes: Any) -> None:
        base = world.model(1, 0.15)
        stage = Stage(roles=HELD if "reference" in loss else POLICY, loss=loss, **changes)
        self._world = world
        self.reference = world.policy(base, 3)
        self.policy = world.policy(world.train(stage, {"policy": base, "reference": base}, pairs(worth)), 3)

    def logp(self, prompt: str, text: str, by_token: bool = False, policy: Policy | None = None) -> float:
        ids = self._world.ids(text)
        return (policy or self.policy).logp(prompt, ids) / (len(ids) if by_token else 1)

    def gain(self, prompt: str, text: str, by_token: bool = False) -> float:
        """The log-ratio to the reference."""
        return self.logp(prompt, text, by_token) - self.logp(prompt, text, by_token, self.reference)

    def margin(self, prompt: str, first: str, second: str, by_token: bool = False) -> float:
        return self.gain(prompt, first, by_token) - self.gain(prompt, second, by_token)

    def odds(self, prompt: str, first: str, second: str) -> float:
        return self.logp(prompt, first) - self.logp(prompt, second)


def implied(
    name: str, learned: Learned, worth: Mapping[str, Mapping[str, int]], beta: float, by_token: bool = False
) -> Row:
    """The implied reward differences, against the judge's; the one that is off by most."""
    return worst(
        [
            nats(
                name,
                f"implied reward of `{first}` over `{second}`, against the judge's",
                float(np.log(answers[first] / answers[second])),
                beta * learned.margin(prompt, first, second, by_token),
            )
            for prompt, answers in worth.items()
            for first, second in combinations(answers, 2)
        ]
    )


@case
def dpo(world: World) -> Iterator[Row]:
    yield implied("dpo", Learned(world, "dpo(rows, policy, reference, beta = 0.5)", WORTH), WORTH, 0.5)


@case
def dpo_norm(world: World) -> Iterator[Row]:
    learned = Learned(world, "dpo_norm(rows, policy, reference, beta = 1)", WORTH)
    yield implied("dpo_norm", learned, WORTH, 1.0, by_token=True)


@case
def cdpo(world: World) -> Iterator[Row]:
    """Of labels that are all the same way round, a share s counts the other way: the margin ends at log((1 - s) / s)."""
    call = "cdpo(rows, policy, reference, label_smoothing = 0.1, beta = 0.5)"
    learned = Learned(world, call, SURE)
    rows = [
        nats("cdpo", "margin of sure labels, s = 0.1", float(np.log(9)), 0.5 * learned.margin(prompt, *answers))
        for prompt, answers in SURE.items()
    ]
    yield worst(rows)


@case
def robust(world: World) -> Iterator[Row]:
    """Labels of odds 3 to 1, of which a tenth was flipped: 7 to 3 is seen, 3 to 1 is learned."""
    flipped = {prompt: dict(zip(answers, (7, 3), strict=True)) for prompt, answers in PAIR.items()}
    call = "robust(rows, policy, reference, label_smoothing = 0.1, beta = 0.5)"
    yield implied("robust", Learned(world, call, flipped), PAIR, 0.5)


@case
def ipo(world: World) -> Iterator[Row]:
    """The margin ends at (2p - 1) / (2β) where one is preferred with p."""
    learned = Learned(world, "ipo(rows, policy, reference, beta = 0.5)", PAIR)
    rows = [
        nats("ipo", "margin per token at p = 3/4", 0.5, learned.margin(prompt, *answers, by_token=True))
        for prompt, answers in PAIR.items()
    ]
    yield worst(rows)


@case
def hinge(world: World) -> Iterator[Row]:
    """p · max(0, 1 - m) + (1 - p) · max(0, 1 + m) is least at m = 1 for any p over a half."""
    learned = Learned(world, "hinge(rows, policy, reference, beta = 0.5)", PAIR, lr=0.01)
    rows = [
        nats("hinge", "margin at p = 3/4", 1.0, 0.5 * learned.margin(prompt, *answers))
        for prompt, answers in PAIR.items()
    ]
    yield worst(rows)


@case
def rpo(world: World) -> Iterator[Row]:
    """The likelihood leaves nothing outside the two; their log-odds u solve β(σ(β(u - u₀)) - p) + (σ(u) - p) / n = 0."""
    learned = Learned(world, "rpo(rows, policy, reference, beta = 1)", PAIR)
    rows = []
    for prompt, answers in PAIR.items():
        start = learned.logp(prompt, list(answers)[0], policy=learned.reference) - learned.logp(
            prompt, list(answers)[1], policy=learned.reference
        )

        def slope(u: float, start: float = start) -> float:
            return (optima.sigmoid(u - start) - 0.75) + 0.5 * (optima.sigmoid(u) - 0.75)

        rows.append(nats("rpo", "log-odds at p = 3/4", optima.root(slope, -9, 9), learned.odds(prompt, *answers)))
    yield worst(rows)
    yield share("rpo", "P of the two answers to x", 1.0, sum(np.exp(learned.logp("x", text)) for text in PAIR["x"]))


@case
def cpo(world: World) -> Iterator[Row]:
    """As `rpo`, without a reference: β(σ(βu) - p) + (σ(u) - p) / n = 0."""
    learned = Learned(world, "cpo(rows, policy, beta = 2)", PAIR)
    expected = optima.root(
        lambda u: 2 * (optima.sigmoid(2 * u) - 0.75) + 0.5 * (optima.sigmoid(u) - 0.75), -9, 9
    )
    rows = [
        nats("cpo", "log-odds at p = 3/4", expected, learned.odds(prompt, *answers))
        for prompt, answers in PAIR.items()
    ]
    yield worst(rows)


@case
def simpo(world: World) -> Iterator[Row]:
    """p · σ(γ - x) = (1 - p) · σ(γ + x), with x = β times the difference of log-likelihoods per token."""
    learned = Learned(world, "simpo(rows, policy, beta = 2, gamma = 0.5)", PAIR)
    expected = optima.root(lambda x: 0.75 * optima.sigmoid(0.5 - x) - 0.25 * optima.sigmoid(0.5 + x), -9, 9)
    rows = [
        nats(
            "simpo",
            "β · difference per token at p = 3/4",
            expected,
            2 * (learned.logp(prompt, first, True) - learned.logp(prompt, second, True)),
        )
        for prompt, (first, second) in ((prompt, tuple(answers)) for prompt, answers in PAIR.items())
    ]
    yield worst(rows)


@case
def orpo(world: World) -> Iterator[Row]:
    """The least of the loss over all distributions on the two answers and the rest, by search."""
    beta = 0.5

    def loss(shares: Floats) -> float:
        one, two = 0.5 * np.log(shares[:2] + 1e-300)
        odds = one - np.log1p(-np.exp(one) + 1e-15) - (two - np.log1p(-np.exp(two) + 1e-15))
        better = one + beta * np.log(optima.sigmoid(odds))
        worse = two + beta * np.log(optima.sigmoid(-odds))
        return -float(0.75 * better + 0.25 * worse)

    expected = optima.least(loss, 3)
    learned = Learned(world, f"orpo(rows, policy, beta = {beta})", PAIR)
    rows = [
        nats("orpo", "log-odds at p = 3/4", float(np.log(expected[0] / expected[1])), learned.odds(prompt, *answers))
        for prompt, answers in PAIR.items()
    ]
    yield worst(rows)


@case
def kto(world: World) -> Iterator[Row]:
    """What is good ends with everything; what is bad falls below where it was."""
    base = world.model(1, 0.15)
    rows = [
        {"prompt": prompt, "response": text, "label": good == 1, "answer": ""}
        for prompt, answers in SURE.items()
        for text, good in answers.items()
    ]
    stage = Stage(roles=HELD, loss="kto(rows, policy, reference, beta = 0.5)")
    policy = world.policy(world.train(stage, {"policy": base, "reference": base}, rows), 3)
    reference = world.policy(base, 3)
    for prompt, (good, bad) in ((prompt, tuple(answers)) for prompt, answers in SURE.items()):
        reached = np.exp(policy.logp(prompt, world.ids(good)))
        yield share("kto", f"P of the good answer to {prompt}", 1.0, float(reached))
        gain = policy.logp(prompt, world.ids(bad)) - reference.logp(prompt, world.ids(bad))
        yield between("kto", f"log-ratio of the bad answer to {prompt}", -np.inf, -2.0, gain)
