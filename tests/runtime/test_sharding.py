"""Models in parts: two processes that hold half of each learn what one process learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pytest
from test_ranks import ONE, PLAIN, TWO, advantage_weighted, gradient, uneven
from test_train_node import World
from training_cases import settings

PARTS = TWO.model_copy(update={"sharding": "full"})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("objective", [expressions.sft(), expressions.dpo(), advantage_weighted()])
def test_two_halves_have_the_gradient_of_a_whole(objective: dict[str, Any], world: World) -> None:
    uneven(world)
    document = settings(objective, count=12, budget=2)
    document["batch"]["s0"] = {"count": 3, "unit": "prompts"}
    document["optimizer"] = {"m0": PLAIN}
    one, two = world.train(document, "one", profile=ONE), world.train(document, "two", profile=PARTS)
    difference = gradient(two) - gradient(one)
    assert float(difference.norm() / gradient(one).norm()) < 1e-5
    assert float(gradient(one).norm()) > 1e-3
    assert two.metric("loss") == pytest.approx(one.metric("loss"), rel=1e-5, abs=1e-7)
    for name in ("num_tokens", "mean_token_accuracy", "entropy", "grad_norm"):
        assert two.metric(name) == pytest.approx(one.metric(name), rel=1e-4)
