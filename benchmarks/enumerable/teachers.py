"""Teachers: what a student learns that can say everything, and what one learns that cannot tell the prompts apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from enumerable import optima
from enumerable.policies import Floats, Policy, divergence, kl
from enumerable.table import Row, case, nats, share
from enumerable.targets import POLICY, repeated
from enumerable.world import Stage, World

MODES = {"x": {"a": 49, "c": 50, "b": 1}, "y": {"b": 49, "c": 50, "a": 1}}
"""What the blind student's teacher says: `c` at both prompts, and at each what it never says at the other."""
ROWS = [{"prompt": "x", "answer": "", "route": 0}, {"prompt": "y", "answer": "", "route": 1}]
TAUGHT = ("train student = base", "freeze teacher = other")
ATTEMPTS = "source attempts = asked |> sample(student, n = 64, max_tokens = 2)"
LIVE: dict[str, Any] = {"sources": [ATTEMPTS], "batch": "2 prompts", "lr": 0.005, "columns": "route = .route"}


@dataclass
class School:
    """A student, and those whom it may learn from."""

    world: World

    @cached_property
    def folders(self) -> dict[str, Path]:
        seeds = {"student": 1, "teacher": 5, "second": 6, "reference": 7}
        return {role: self.world.model(seed, 0.15) for role, seed in seeds.items()}

    @cached_property
    def policies(self) -> dict[str, Policy]:
        return {role: self.world.policy(folder, 2) for role, folder in self.folders.items()}

    def taught(self, loss: str, roles: tuple[str, ...] = TAUGHT, **changes: Any) -> Policy:
        stage = Stage(roles=roles, loss=loss, **changes)
        rows = ROWS if "sources" in changes else demos()
        return self.world.policy(self.world.train(stage, self.folders, rows), 2)

    def reached(self, name: str, call: str, goal: Policy, words: str, **changes: Any) -> Row:
        policy = self.taught(call, **changes)
        start = divergence(self.policies["student"], goal)
        return nats(name, f"KL of the student from {words}, {start:.2f} at the start", 0.0, divergence(policy, goal))


def demos() -> list[dict[str, Any]]:
    """Responses that pass through every state of two tokens."""
    return repeated({prompt: dict.fromkeys(("", "a", "b", "c", "x", "y"), 1) for prompt in MODES})


def seen(world: World, first: Policy, second: Policy) -> float:
    """The mean KL(first || second) over the states of the demonstrations."""
    states = {(prompt, world.ids(text)[:place]) for prompt in MODES for text in "abcxy" for place in range(2)}
    return float(np.mean([kl(first.conditional(*state), second.conditional(*state)) for state in states]))


def word_by_word(world: World, name: str, call: str) -> Row:
    school = School(world)
    policy, teacher = school.taught(call), school.policies["teacher"]
    start = seen(world, teacher, school.policies["student"])
    away = seen(world, teacher, policy)
    return nats(name, f"KL(teacher || student) at the data's states, {start:.2f} at the start", 0.0, away)


@case
def forward_kl(world: World) -> Iterator[Row]:
    yield word_by_word(world, "forward_kl", "forward_kl(rows, student, teacher)")
    yield word_by_word(world, "forward_kl", "forward_kl(rows, student, teacher, temperature = 2)")


@case
def gkd(world: World) -> Iterator[Row]:
    yield word_by_word(world, "gkd", "gkd(rows, student, teacher)")


@case
def reverse_kl(world: World) -> Iterator[Row]:
    school = School(world)
    goal = school.policies["teacher"]
    yield school.reached("reverse_kl", "reverse_kl(attempts, student, teacher)", goal, "the teacher", **LIVE)


@case
def on_policy_distillation(world: World) -> Iterator[Row]:
    school, name = School(world), "on_policy_distillation"
    goal = school.policies["teacher"]
    yield school.reached(name, f"{name}(attempts, student, teacher)", goal, "the teacher", **LIVE)


@case
def minillm(world: World) -> Iterator[Row]:
    school = School(world)
    goal = school.policies["teacher"]
    yield school.reached("minillm", "minillm(attempts, student, teacher)", goal, "the teacher", **LIVE)


@case
def mopd(world: World) -> Iterator[Row]:
    """Each prompt's own teacher."""
    school = School(world)
    owners = {"x": school.policies["teacher"], "y": school.policies["second"]}
    goal = Policy({state: owners[state[0]].log[state] for state in owners["x"].log}, owners["x"].end, 2)
    roles = (*TAUGHT, "freeze second = third")
    call = "mopd(attempts, student, teacher, second)"
    yield school.reached("mopd", call, goal, "each prompt's teacher", roles=roles, **LIVE)


@case
def g_opd(world: World) -> Iterator[Row]:
    """What the teacher has gained over the reference, `scale` times over, in every state."""
    school, scale = School(world), 1.5
    teacher, reference = school.policies["teacher"], school.policies["reference"]
    goal = optima.state_by_state(
        teacher, lambda *state: scale * teacher.log[state] + (1 - scale) * reference.log[state]
    )
    roles = (*TAUGHT, "freeze reference = third")
    call = f"g_opd(attempts, student, teacher, reference, scale = {scale})"
    yield school.reached("g_opd", call, goal, "teacher^1.5 · reference^-0.5", roles=roles, **LIVE)


# A student that cannot tell the prompts apart -------------------------------------------------------------------------


class Blind(School):
    """It sees only the token before: at the first token it can have one distribution for both prompts."""

    @cached_property
    def folders(self) -> dict[str, Path]:
        base = self.world.model(5, 0.15)
        stage = Stage(roles=POLICY, loss="sft(rows, policy)")
        teacher = self.world.train(stage, {"policy": base}, repeated(MODES))
        return {"student": self.world.model(1, 0.15, blind=True), "teacher": teacher}

    def first(self, policy: Policy) -> dict[str, float]:
        """What it says at first, by letter; it is the same at both prompts."""
        assert np.allclose(policy.conditional("x"), policy.conditional("y"), atol=1e-6)
        return {letter: float(policy.conditional("x")[self.world.ids(letter)[0]]) for letter in "abc"}

    @property
    def teachers(self) -> tuple[Floats, Floats]:
        return self.policies["teacher"].conditional("x"), self.policies["teacher"].conditional("y")

    def goal(self, probabilities: Floats) -> dict[str, float]:
        return {letter: float(probabilities[self.world.ids(letter)[0]]) for letter in "abc"}


def blind(world: World, name: str, call: str, goal: str, **changes: Any) -> Iterator[Row]:
    """What it says at first, against what is nearest to both teachers in the objective's own sense."""
    school = Blind(world)
    one, two = school.teachers
    nearest: Mapping[str, Floats] = {
        "the mean of the two: it covers": (one + two) / 2,
        "the geometric mean of the two: it seeks the mode": optima.normalised((np.log(one) + np.log(two)) / 2),
        "between": optima.least(lambda own: jsd(own, one) + jsd(own, two), len(one)),
    }
    expected = school.goal(nearest[goal])
    reached = school.first(school.taught(call, **changes))
    words = "nearest by JSD, between the two" if goal == "between" else goal
    yield share(name, f"blind student: P of what both teachers say, {words}", expected["c"], reached["c"])
    yield nats(name, "blind student: P of what one of them says", expected["a"], reached["a"])


def jsd(own: Floats, other: Floats) -> float:
    middle = (own + other) / 2
    return (kl(own, middle) + kl(other, middle)) / 2


@case
def forward_kl_blind(world: World) -> Iterator[Row]:
    yield from blind(
        world, "forward_kl", "forward_kl(rows, student, teacher)", "the mean of the two: it covers", lr=0.01
    )


@case
def gkd_blind(world: World) -> Iterator[Row]:
    yield from blind(world, "gkd", "gkd(rows, student, teacher, temperature = 1)", "between", lr=0.01)


@case
def reverse_kl_blind(world: World) -> Iterator[Row]:
    mode = "the geometric mean of the two: it seeks the mode"
    yield from blind(world, "reverse_kl", "reverse_kl(attempts, student, teacher)", mode, **LIVE)


@case
def on_policy_distillation_blind(world: World) -> Iterator[Row]:
    mode = "the geometric mean of the two: it seeks the mode"
    call = "on_policy_distillation(attempts, student, teacher)"
    yield from blind(world, "on_policy_distillation", call, mode, **LIVE)
