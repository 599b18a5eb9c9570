"""Process rewards: every letter of an attempt is a step, and a rule says what each is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from enumerable.attempts import BASE, ROWS
from enumerable.policies import Policy
from enumerable.table import Row, case, share
from enumerable.targets import POLICY
from enumerable.world import Stage, World
from ptc.runtime.judging import RewardModel
from ptc.runtime.streams import steps
from ptc.runtime.tables import column, with_columns

WORTH = {"b": 0.5, "a": -0.2}
"""What a step is worth, any other letter -1: wrong steps among right ones pay in sum, and never by the least."""
TOKENS = 3
STEPPED = (
    f"source attempts = asked |> sample(policy, n = 64, max_tokens = {TOKENS})",
    'source stepped = attempts |> split_steps("|") |> score(rule)',
)


def worth(text: str) -> list[float]:
    return [WORTH.get(letter, -1.0) for letter in text]


def letters(settings: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> pa.Table:
    """In place of a separator between them."""
    return with_columns(tables["rows"], {"steps": [list(text) for text in column(tables["rows"], "response")]})


def by_rule(judge: RewardModel, rows: pa.Table) -> list[list[float]]:
    """In place of what the reward model says of each step."""
    return [worth(text) for text in column(rows, "response")]


def trained(world: World, name: str) -> Policy:
    stage = Stage(
        roles=POLICY, loss=f"{name}(stepped, policy)", sources=STEPPED, batch="2 prompts", lr=0.005, steps=150
    )
    base = world.model(BASE, 0.15)
    models = {"policy": base, "x0": world.headed("reward_head", base)}
    with patch.object(steps, "split_steps", letters), patch.object(RewardModel, "steps", by_rule):
        folder = world.train(stage, models, ROWS)
    return world.policy(folder, TOKENS)


def mean(world: World, policy: Policy, value: Any) -> float:
    each = [policy.expected(prompt, lambda one: value(world.text(one))) for prompt in policy.prompts]
    return sum(each) / len(each)


@case
def process_sum(world: World) -> Iterator[Row]:
    """More steps that look right are worth more: it ends with as many as there is room for."""
    policy = trained(world, "process_sum")
    yield share(
        "process_sum", f"steps that look right, of {TOKENS}", 3.0, mean(world, policy, lambda text: text.count("b"))
    )


@case
def process_min(world: World) -> Iterator[Row]:
    """A further step is worth nothing, a wrong one costs: it ends where the least step is a right one."""
    policy = trained(world, "process_min")
    least = mean(world, policy, lambda text: min(worth(text), default=0.0))
    yield share("process_min", "worth of the least step, of 1/2 at most", 0.5, least)
