"""Judges and critics: heads that give numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations, product
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from enumerable import attempts, optima
from enumerable.policies import Response, divergence
from enumerable.preferences import WORTH, pairs
from enumerable.table import Row, case, nats, share, worst
from enumerable.world import Stage, World

JUDGE = ("train judge = reward_head(base)",)


def read(world: World, folder: Path, kind: type, prompt: str, response: Response) -> Sequence[float]:
    """What a head says behind the prompt and behind each token of the response, by plain transformers."""
    model = kind.from_pretrained(folder, dtype=torch.float64).eval()
    ids = torch.tensor([[*world.prompt(prompt), *response]])
    with torch.no_grad():
        hidden = model.base_model(input_ids=ids).last_hidden_state
        said = model.score(hidden)[0, :, 0]
    found: list[float] = said[-len(response) - 1 :].tolist()
    return found


@case
def bradley_terry(world: World) -> Iterator[Row]:
    judge = world.headed("reward_head", world.model(1, 0.15))
    folder = world.train(Stage(roles=JUDGE, loss="bradley_terry(rows, judge)"), {"judge": judge}, pairs(WORTH))
    rows, ranked = [], []
    for prompt, answers in WORTH.items():
        scores = {
            text: read(world, folder, AutoModelForSequenceClassification, prompt, world.ids(text))[-1]
            for text in answers
        }
        ranked.append(sorted(scores, key=lambda text: -scores[text]) == list(answers))
        for first, second in combinations(answers, 2):
            expected = float(np.log(answers[first] / answers[second]))
            words = f"score of `{first}` over `{second}`, against the judge's log-odds"
            rows.append(nats("bradley_terry", words, expected, scores[first] - scores[second]))
    yield worst(rows)
    yield share("bradley_terry", "prompts whose answers are ranked right", 1.0, float(np.mean(ranked)))


RIGHT = {"x": "b", "y": "c"}
"""The letter that is a right step; the other is wrong, and so is all that follows it."""
SEEN = 5
"""Each solution is labelled so often, …"""
FLIPPED = 1
"""… and so often the wrong way round."""


def solutions(prompt: str) -> list[tuple[tuple[str, ...], list[bool]]]:
    found = []
    for letters in product("bc", repeat=3):
        right = [all(letter == RIGHT[prompt] for letter in letters[: place + 1]) for place in range(len(letters))]
        found.append((letters, right))
    return found


@case
def prm(world: World) -> Iterator[Row]:
    """A step's score ends at the log-odds of its label; the first that is below 0 is the first wrong step."""
    judge = world.headed("reward_head", world.model(1, 0.15, layers=2))
    data = [
        {
            "prompt": prompt,
            "response": "".join(letters),
            "steps": list(letters),
            "step_labels": [label != (number < FLIPPED) for label in right],
            "answer": "",
        }
        for prompt in RIGHT
        for letters, right in solutions(prompt)
        for number in range(SEEN)
    ]
    folder = world.train(Stage(roles=JUDGE, loss="prm(rows, judge)", steps=700, lr=0.005), {"judge": judge}, data)
    odds = float(np.log((SEEN - FLIPPED) / FLIPPED))
    rows, located = [], []
    for prompt in RIGHT:
        for letters, right in solutions(prompt):
            behind = read(world, folder, AutoModelForSequenceClassification, prompt, world.ids("".join(letters)))
            scores = [behind[1], behind[2], behind[4]]  # the last step ends with the response
            rows += [
                nats("prm", "score of a step, against the log-odds of its label", odds if label else -odds, score)
                for score, label in zip(scores, right, strict=True)
            ]
            located.append([score > 0 for score in scores] == right)
    yield worst(rows)
    yield share("prm", "solutions in which it finds the first wrong step, or none", 1.0, float(np.mean(located)))


@case
def ppo(world: World) -> Iterator[Row]:
    """The policy ends where any exact policy gradient does; the critic says what is still to be earned from a state."""
    base, kl = world.model(attempts.BASE, 0.15), attempts.KL
    stage = Stage(
        roles=("train policy = base", "freeze reference = base", "train critic = value_head(base)"),
        loss=f"ppo(rollouts, policy, critic, reference, kl = {kl})",
        sources=[attempts.rollouts(2)],
        batch="2 prompts",
        lr=0.005,
        steps=350,
    )
    models = {"policy": base, "reference": base, "critic": world.headed("value_head", base)}
    folder = world.train(stage, models, attempts.ROWS)
    reward, reference = partial(attempts.reward, world), world.policy(base, 2)
    optimum, policy = optima.tilted(reference, reward, kl), world.policy(folder, 2)
    start = divergence(reference, optimum)
    words = f"KL from reference · exp(reward / kl), {start:.2f} at the start"
    yield nats("ppo", words, 0.0, divergence(policy, optimum))
    rows = []
    for prompt in policy.prompts:
        tilts = [reference.logp(prompt, one) + reward(prompt, one) / kl for one in reference.responses]
        expected = kl * float(np.log(np.exp(tilts).sum()))
        [critic] = folder.glob("m*/")
        reached = read(world, critic, AutoModelForTokenClassification, prompt, ())[-1]
        rows.append(nats("ppo", "critic's value of a prompt, against reward less KL to come", expected, reached))
    yield worst(rows)
