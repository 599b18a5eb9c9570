"""Token targets: what is learned from demonstrations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from enumerable import optima
from enumerable.policies import Policy, Response, kl
from enumerable.table import Row, case, nats, share, worst
from enumerable.world import Stage, World

DEMOS = {"x": {"a": 5, "b": 3, "c": 2}, "y": {"a": 1, "ab": 3, "ca": 6}}
POLICY = ("train policy = base",)
HELD = (*POLICY, "freeze reference = base")


def repeated(counts: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    return [
        {"prompt": prompt, "response": text, "answer": ""}
        for prompt, texts in counts.items()
        for text, count in texts.items()
        for _ in range(count)
    ]


def counted(world: World, texts: Mapping[str, int]) -> dict[Response, int]:
    return {world.ids(text): count for text, count in texts.items()}


def learned(world: World, loss: str, base: Path, rows: Sequence[Mapping[str, Any]], **changes: Any) -> Policy:
    stage = Stage(roles=HELD if "reference" in loss else POLICY, loss=loss, **changes)
    return world.policy(world.train(stage, {"policy": base, "reference": base}, rows), 3)


def cost(world: World, policy: Policy) -> float:
    """Nats per token of the demonstrations."""
    paid = tokens = 0.0
    for prompt, texts in DEMOS.items():
        for response, count in counted(world, texts).items():
            paid -= count * policy.logp(prompt, response)
            tokens += count * len(response)
    return paid / tokens


def floor(world: World) -> float:
    """The least that they can cost: the entropy of what follows each beginning."""
    paid = tokens = 0.0
    for texts in DEMOS.values():
        total = sum(texts.values())
        paid -= sum(count * np.log(count / total) for count in texts.values())
        tokens += sum(count * len(response) for response, count in counted(world, texts).items())
    return paid / tokens


@case
def sft(world: World) -> Iterator[Row]:
    policy = learned(world, "sft(rows, policy)", world.model(1, 0.15), repeated(DEMOS))
    yield nats("sft", "cost of a token of the data, against the data's entropy", floor(world), cost(world, policy))
    frequency = optima.shares(DEMOS["x"])["c"]
    reached = policy.whole("x")[policy.responses.index(world.ids("c"))]
    yield share("sft", "P of the rarest answer to x, against its frequency", frequency, reached)


@case
def dft(world: World) -> Iterator[Row]:
    """Σ q · p is the most where the commonest has everything; what is rare at first is learned late, as it weighs p."""
    policy = learned(world, "dft(rows, policy)", world.model(1, 0.15), repeated(DEMOS), lr=0.005, steps=2_000)
    for prompt, text in (("x", "a"), ("y", "ca")):
        reached = np.exp(policy.logp(prompt, world.ids(text)))
        yield share("dft", f"P of the commonest answer to {prompt}", 1.0, float(reached))


@case
def proximal_sft(world: World) -> Iterator[Row]:
    policy = learned(world, "proximal_sft(rows, policy)", world.model(1, 0.15), repeated(DEMOS))
    yield nats(
        "proximal_sft", "cost of a token of the data, against the data's entropy", floor(world), cost(world, policy)
    )


@case
def anchored_sft(world: World) -> Iterator[Row]:
    """In each state of the data kl · KL(p || r) - Σ q · p is least at p ∝ r · exp(q / kl)."""
    base, strength = world.model(1, 0.15), 0.5
    call = f"anchored_sft(rows, policy, reference, kl = {strength})"
    policy, reference = learned(world, call, base, repeated(DEMOS), steps=500), world.policy(base, 3)
    rows = []
    for prompt, texts in DEMOS.items():
        counts = counted(world, texts)
        for said in {response[:place] for response in counts for place in range(len(response))}:
            seen = optima.following(counts, said, len(policy.log[prompt, said]))
            target = optima.normalised(reference.log[prompt, said] + seen / strength)
            away = kl(target, policy.conditional(prompt, said))
            rows.append(nats("anchored_sft", "KL from reference · exp(q / kl), at the worst state", 0.0, away))
    yield worst(rows)


@case
def chord(world: World) -> Iterator[Row]:
    """Σ q · (p - p² / 2) is the most where q · (1 - p) is the same for all answers."""
    frequency = optima.shares(DEMOS["x"])
    level = (len(frequency) - 1) / sum(1 / q for q in frequency.values())
    policy = learned(world, "chord(rows, policy)", world.model(1, 0.15), repeated(DEMOS), lr=0.003, steps=800)
    for text, q in frequency.items():
        reached = policy.conditional("x")[world.ids(text)[0]]
        yield share("chord", f"P of `{text}`, q = {q:g}", 1 - level / q, float(reached))
