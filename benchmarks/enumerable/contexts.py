"""Contexts, traces and texts: what the learner does not see, does not say, or is not asked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from enumerable import attempts
from enumerable.policies import Policy, divergence, kl
from enumerable.table import Row, between, case, nats
from enumerable.targets import POLICY
from enumerable.teachers import LIVE, TAUGHT, School, demos
from enumerable.world import PROMPTS, Stage, World

SHOWN = {"x": "b", "y": "c"}
"""What the teacher is shown before each prompt."""
TEXTS = {"a": 5, "ba": 3, "bc": 2}


def informed(world: World, school: School) -> Policy:
    """What the teacher says when it is shown the context."""
    behind = {prompt: f"{SHOWN[prompt]}\n\n{prompt}" for prompt in PROMPTS}
    return world.policy(school.folders["teacher"], 2, behind)


@case
def context_distillation(world: World) -> Iterator[Row]:
    school = School(world)
    teacher = informed(world, school)
    rows = [{**row, "context": SHOWN[row["prompt"]]} for row in demos()]
    stage = Stage(roles=TAUGHT, loss="context_distillation(rows, student, teacher)")
    policy = world.policy(world.train(stage, school.folders, rows), 2)

    def away(student: Policy) -> float:
        states = {(prompt, world.ids(text)[:place]) for prompt in PROMPTS for text in "abcxy" for place in range(2)}
        return float(np.mean([kl(teacher.conditional(*state), student.conditional(*state)) for state in states]))

    words = f"KL(teacher with the context || student without), {away(school.policies['student']):.2f} at the start"
    yield nats("context_distillation", words, 0.0, away(policy))


@case
def self_distillation(world: World) -> Iterator[Row]:
    school = School(world)
    teacher = informed(world, school)
    rows = [{"prompt": prompt, "answer": "", "context": SHOWN[prompt]} for prompt in PROMPTS]
    changes = {**LIVE, "columns": "context = .context"}
    stage = Stage(roles=TAUGHT, loss="self_distillation(attempts, student, teacher)", **changes)
    policy = world.policy(world.train(stage, school.folders, rows), 2)
    start = divergence(school.policies["student"], teacher)
    words = f"KL(student without the context || teacher with it), {start:.2f} at the start"
    yield nats("self_distillation", words, 0.0, divergence(policy, teacher))


@case
def pretrain(world: World) -> Iterator[Row]:
    """Every token of a text is learned, its end included; behind what begins it nothing tells which text it is."""
    base = world.model(1, 0.15)
    rows = [{"text": text, "prompt": "x", "answer": ""} for text, count in TEXTS.items() for _ in range(count)]
    folder = world.train(Stage(roles=POLICY, loss="pretrain(rows, policy)"), {"policy": base}, rows)
    paid = sum(count * world.cost(folder, world.ids(text)) for text, count in TEXTS.items())
    floor = -sum(count * np.log(count / len(rows)) for count in TEXTS.values())
    tokens = sum(count * len(world.ids(text)) for text, count in TEXTS.items())
    yield nats("pretrain", "cost of a token of the texts, against their entropy", floor / tokens, paid / tokens)


@case
def luffy(world: World) -> Iterator[Row]:
    """An answer that no attempt finds, in a trace beside the attempts: rewards alone would never teach it."""
    base = world.model(attempts.BASE, 0.15)
    rows = [{"prompt": prompt, "answer": text, "response": text} for prompt, text in (("x", "cb"), ("y", "ca"))]
    stage = Stage(
        roles=POLICY,
        loss="luffy(rollouts, traces, policy)",
        sources=[
            "source rollouts = asked |> sample(policy, n = 8, max_tokens = 3) |> score(exact)",
            "source traces = asked |> respond(.answer) |> score(exact) |> join(rollouts, on = .prompt)",
        ],
        batch="2 prompts",
        lr=0.01,
        steps=200,
    )
    folder = world.train(stage, {"policy": base}, rows, traces=[{**row, "reward": 1.0} for row in rows])
    policy, start = world.policy(folder, 3), world.policy(base, 3)
    for row in rows:
        prompt, ids = row["prompt"], world.ids(row["answer"])
        before = np.exp(start.logp(prompt, ids))
        words = f"P of the traced answer to {prompt}, {before:.1g} at the start"
        yield between("luffy", words, 0.9, 1.0, float(np.exp(policy.logp(prompt, ids))))
