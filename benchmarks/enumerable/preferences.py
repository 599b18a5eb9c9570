"""Preferences: pairs that a Bradley–Terry judge has labelled, in exactly its proportions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from enumerable import optima
from enumerable.policies import Policy
from enumerable.table import Row, case, nats, worst
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

    def head(self, prompt: str, text: str, tokens: int) -> float:
        """The log-ratio of its first tokens."""
        ids = self._world.ids(text)[:tokens]
        return self.policy.logp(prompt, ids) - self.reference.logp(prompt, ids)

    def odds(self, prompt: str, first: str, second: str) -> float:
        return self.logp(prompt, first) - self.logp(prompt, second)


def each_pair(worth: Mapping[str, Mapping[str, int]]) -> list[tuple[str, tuple[str, str]]]:
    """The two answers to each prompt."""
    found = []
    for prompt, answers in worth.items():
        first, second = answers
        found.append((prompt, (first, second)))
    return found


def margin(
    name: str, words: str, learned: Learned, expected: float, worth: Mapping[str, Mapping[str, int]] = PAIR
) -> Row:
    """β times the difference of the two log-ratios, β = 1/2."""
    rows = [nats(name, words, expected, 0.5 * learned.margin(prompt, *pair)) for prompt, pair in each_pair(worth)]
    return worst(rows)


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
    """Of sure labels a share s counts the other way round: the margin ends at log((1 - s) / s)."""
    call = "cdpo(rows, policy, reference, label_smoothing = 0.1, beta = 0.5)"
    learned = Learned(world, call, SURE)
    yield margin("cdpo", "margin of sure labels, s = 0.1", learned, float(np.log(9)), SURE)


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
    yield margin("hinge", "margin at p = 3/4", learned, 1.0)


@case
def wpo(world: World) -> Iterator[Row]:
    """Weights that do not depend on which of the two was chosen leave the margin where it was."""
    yield implied("wpo", Learned(world, "wpo(rows, policy, reference, beta = 0.5)", PAIR), PAIR, 0.5)


@case
def exo(world: World) -> Iterator[Row]:
    """KL(policy || label) is least at (2p - 1) log((1 - s) / s), which seeks the mode."""
    learned = Learned(world, "exo(rows, policy, reference, beta = 0.5, label_smoothing = 0.1)", PAIR)
    yield margin("exo", "margin at p = 3/4, s = 0.1", learned, 0.5 * float(np.log(9)))


@case
def discopop(world: World) -> Iterator[Row]:
    """The least of p · f(m) + (1 - p) · f(-m), by search."""

    def cost(m: float, temperature: float = 1.0) -> float:
        blend = optima.sigmoid(m / temperature)
        return float(blend * np.exp(-m) - (1 - blend) * np.log(optima.sigmoid(m)))

    margins = np.arange(-5, 5, 1e-4)
    expected = margins[np.argmin([0.75 * cost(m) + 0.25 * cost(-m) for m in margins])]
    learned = Learned(world, "discopop(rows, policy, reference, beta = 0.5, temperature = 1)", PAIR)
    yield margin("discopop", "margin at p = 3/4, τ = 1", learned, float(expected))


DIVERGENCES: Mapping[str, Callable[[float], float]] = {
    "dpo_alpha": lambda gain: float((1 - np.exp(-0.5 * gain)) / 0.5),
    "dpo_forward_kl": lambda gain: -float(np.exp(-gain)),
    "dpo_js": lambda gain: float(np.log(optima.sigmoid(gain))),
}
"""The reward of a log-ratio under each divergence: f' of the ratio."""


@case
def other_divergences(world: World) -> Iterator[Row]:
    for name, implied_reward in DIVERGENCES.items():
        learned = Learned(world, f"{name}(rows, policy, reference, beta = 0.5)", WORTH, lr=0.003, steps=400)
        yield worst(
            [
                nats(
                    name,
                    f"implied reward of `{first}` over `{second}`, against the judge's",
                    float(np.log(answers[first] / answers[second])),
                    0.5 * (implied_reward(learned.gain(prompt, first)) - implied_reward(learned.gain(prompt, second))),
                )
                for prompt, answers in WORTH.items()
                for first, second in combinations(answers, 2)
            ]
        )


@case
def ld_dpo(world: World) -> Iterator[Row]:
    """Tokens beyond the shorter one's length count half: their share of the margin is what it is in DPO."""
    worth = {"x": {"cb": 3, "a": 1}, "y": {"ab": 3, "c": 1}}
    learned = Learned(world, "ld_dpo(rows, policy, reference, beta = 0.5, alpha = 0.5)", worth)

    def counted(prompt: str, text: str, shared: int) -> float:
        return learned.head(prompt, text, shared) + 0.5 * (
            learned.gain(prompt, text) - learned.head(prompt, text, shared)
        )

    rows = []
    for prompt, (first, second) in each_pair(worth):
        shared = min(len(world.ids(first)), len(world.ids(second)))
        found = 0.5 * (counted(prompt, first, shared) - counted(prompt, second, shared))
        rows.append(nats("ld_dpo", "margin at p = 3/4, in its own count", float(np.log(3)), found))
    yield worst(rows)
