"""Models in parts: two processes that hold half of each learn what one process learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pytest
from test_ranks import ONE, PLAIN, TWO, advantage_weighted, gradient, uneven
from safetensors.torch import load_file
from test_lora import Shop, adapter
from test_lora import live as adapted_live
from test_ranks import LENGTH
from test_train_node import World, live
from training_cases import Stage, settings
import torch
from ptc.runtime.artifacts import Interrupted

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


@pytest.mark.slow
def test_grpo_in_halves_learns_what_it_learns_whole_and_resumes_bit_for_bit(world: World) -> None:
    document = live(expressions.grpo(kl=0.1), LENGTH, budget=2)
    document["flows"]["s0"][0] |= {"n": 8, "max_tokens": 40}
    document["optimizer"] = {"m0": PLAIN}
    one, two = world.train(document, "one", profile=ONE), world.train(document, "two", profile=PARTS)
    for name in ("completions/mean_length", "reward", "num_tokens"):
        assert two.metric(name) == one.metric(name)
    assert float((gradient(two) - gradient(one)).norm() / gradient(one).norm()) < 1e-5
    stage = Stage.at(world.folder / "cut-partial", interrupt_after=1)
    with pytest.raises(Interrupted):
        world.train(document, "cut", stage, profile=PARTS)
    stage.interrupt_after = None
    (world.folder / "cut").rmdir()
    world.train(document, "cut", stage, profile=PARTS)
    assert {"event": "resumed", "step": 1, "level": "bitwise"} in stage.rows
    whole, again = (load_file(world.folder / name / "model.safetensors") for name in ("two", "cut"))
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())
    alone = load_file(world.folder / "one" / "model.safetensors")
    assert alone.keys() == whole.keys()
    assert all((tensor - alone[name]).norm() <= 1e-4 * alone[name].norm() for name, tensor in whole.items())


@pytest.mark.slow
def test_an_adapter_over_a_base_in_halves(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    document = adapted_live(expressions.grpo(kl=0.1), budget=2)
    document["optimizer"] = {"m0": PLAIN}
    models = {"m0": shop.adapted, "m1": shop.base}
    one = shop.train(document, "one", models, ONE)
    two = shop.train(document, "two", models, PARTS)
    assert two.metric("completions/mean_length") == one.metric("completions/mean_length")
    assert float((gradient(two) - gradient(one)).norm() / gradient(one).norm()) < 1e-5
    before, whole = adapter(shop, "one"), adapter(shop, "two")
    assert before.keys() == whole.keys()
    assert all((tensor - before[name]).norm() <= 1e-4 * before[name].norm() for name, tensor in whole.items())
