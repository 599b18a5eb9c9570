"""Several models that move in one stage, each by its own optimizer or behind another; and what is dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pytest
import torch
from loss_cases import tiny_model
from training_cases import ADAMW, Stage, flow_for, settings

from ptc.compiler.graph import Node
from ptc.runtime import checkpoint
from ptc.runtime.artifacts import Interrupted, InvariantBroken
from ptc.runtime.dropout import drops
from ptc.runtime.learning_rates import OptimizerSettings
from ptc.runtime.optimizer import optimizer_of
from ptc.runtime.placement import Placement
from ptc.runtime.trainer import Trainer
from ptc.runtime.training import Training

RMSPROP = {
    "name": "rmsprop",
    "lr": 1e-3,
    "decay": 0.9,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "warmup": 0.0,
    "schedule": "constant",
    "clip_norm": None,
}
SEVERAL = expressions.apply(
    "add", expressions.sft(), expressions.apply("neg", expressions.per_sample(expressions.logp("m1")))
)
"""Two models learn from the same rows, apart."""
Weights = dict[str, torch.Tensor]


def run(document: dict[str, Any], stage: Stage, **placed: Any) -> dict[str, Weights]:
    """The weights of each model after the stage; its entry weights are one model's."""
    models = {name: tiny_model(1) for name in document["models"]}
    context = stage.context(Node("train", 1, document, {}, names={"m1": "critic"}))
    flows = {"s0": flow_for("sft", models["m0"])}
    Trainer(Training.of(document), models, flows, context, Placement(**placed)).run()
    return {name: checkpoint.weights(model) for name, model in models.items()}


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def several() -> dict[str, Any]:
    document = settings(SEVERAL, budget=6)
    document["models"]["m1"] = {"as": "train"}
    document["optimizer"]["m1"] = RMSPROP
    return document


def following(**rule: Any) -> dict[str, Any]:
    document = settings(expressions.sft(), budget=6)
    document["models"]["m1"] = {"as": "track", "follows": "m0", **rule}
    return document


def test_each_learner_has_an_optimizer_of_its_own(tmp_path: Path) -> None:
    stage = Stage.at(tmp_path / "both")
    both = run(several(), stage)
    alone = run(settings(expressions.sft(), budget=6, models=["m0"]), Stage.at(tmp_path / "alone"))
    assert same(both["m0"], alone["m0"])
    assert not same(both["m1"], both["m0"])
    assert stage.metric("learning_rate/critic") == [1e-3] * 6
    assert all(norm > 0 for norm in stage.metric("grad_norm/critic"))


def test_rmsprop_divides_by_the_root_of_the_mean_of_squares() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    before = float(model.weight.detach())
    optimizer = optimizer_of(model, OptimizerSettings.of(RMSPROP))
    squares, expected = 0.0, before
    for gradient in (2.0, -1.0, 0.5):
        model.weight.grad = torch.tensor([[gradient]])
        optimizer.step()
        squares = 0.9 * squares + 0.1 * gradient**2
        expected -= 1e-3 * gradient / (squares**0.5 + 1e-8)
    assert float(model.weight.detach()) == pytest.approx(expected, rel=1e-5)


def test_a_moving_average_follows_every_step(tmp_path: Path) -> None:
    expected = {name: tensor.clone() for name, tensor in checkpoint.weights(tiny_model(1)).items()}
    for step in range(1, 7):
        document = following(by="ema", decay=0.75)
        stage = Stage.at(tmp_path / str(step), interrupt_after=step)
        models = {name: tiny_model(1) for name in document["models"]}
        context = stage.context(Node("train", 1, document, {}))
        with pytest.raises(Interrupted):
            Trainer(Training.of(document), models, {"s0": flow_for("sft", models["m0"])}, context, Placement()).run()
        followed = checkpoint.weights(models["m0"])
        expected = {name: 0.75 * tensor + 0.25 * followed[name] for name, tensor in expected.items()}
        for name, tensor in checkpoint.weights(models["m1"]).items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6)


def test_a_reset_copies_every_so_many_steps(tmp_path: Path) -> None:
    last = run(following(by="reset", every=3), Stage.at(tmp_path / "three"))
    assert same(last["m1"], last["m0"])
    late = run(following(by="reset", every=4), Stage.at(tmp_path / "four"))
    document = following(by="reset", every=4)
    stage = Stage.at(tmp_path / "cut", interrupt_after=4)
    models = {name: tiny_model(1) for name in document["models"]}
    flows = {"s0": flow_for("sft", models["m0"])}
    with pytest.raises(Interrupted):
        Trainer(Training.of(document), models, flows, stage.context(Node("train", 1, document, {})), Placement()).run()
    assert same(late["m1"], checkpoint.weights(models["m0"]))
    assert not same(late["m1"], late["m0"])


@pytest.mark.parametrize("document", [several(), following(by="ema", decay=0.9), following(by="reset", every=4)])
def test_it_resumes_bit_for_bit(document: dict[str, Any], tmp_path: Path) -> None:
    whole = run(document, Stage.at(tmp_path / "whole"))
    for step in (2, 5):
        stage = Stage.at(tmp_path / str(step), interrupt_after=step)
        with pytest.raises(Interrupted):
            run(document, stage)
        stage.interrupt_after = None
        again = run(document, stage)
        assert all(same(again[name], whole[name]) for name in whole)


def test_a_gradient_of_the_second_learner_that_is_not_finite_touches_neither(tmp_path: Path) -> None:
    zero = expressions.apply("sub", expressions.logp("m1"), expressions.logp("m1"))
    broken = expressions.per_sample(expressions.apply("sqrt", zero))
    document = several()
    document["terms"][0]["loss"] = expressions.apply("add", expressions.sft(), broken)
    models = {name: tiny_model(1) for name in document["models"]}
    context = Stage.at(tmp_path).context(Node("train", 1, document, {}))
    flows = {"s0": flow_for("sft", models["m0"])}
    with pytest.raises(InvariantBroken, match=r"gradient's norm is (nan|inf) at step 1, weights untouched"):
        Trainer(Training.of(document), models, flows, context, Placement()).run()
    assert all(same(checkpoint.weights(model), checkpoint.weights(tiny_model(1))) for model in models.values())


def test_dropout_is_what_the_stage_says_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    assert not drops(tiny_model(1))
    document = settings(expressions.sft(), budget=4, models=["m0"])
    none = run(document, Stage.at(tmp_path / "none"))["m0"]
    document["dropout"] = 0.2
    some = run(document, Stage.at(tmp_path / "some"))["m0"]
    assert not same(none, some)
    stage = Stage.at(tmp_path / "cut", interrupt_after=2)
    with pytest.raises(Interrupted):
        run(document, stage)
    torch.manual_seed(99)
    stage.interrupt_after = None
    assert same(run(document, stage)["m0"], some)


def test_activations_computed_again_give_the_same_gradient(tmp_path: Path) -> None:
    document = settings(expressions.sft(), budget=3, models=["m0"])
    document["optimizer"]["m0"] = {**ADAMW, "warmup": 0.0}
    kept = run(document, Stage.at(tmp_path / "kept"))["m0"]
    again = run(document, Stage.at(tmp_path / "again"), gradient_checkpointing=True)["m0"]
    for name, tensor in kept.items():
        torch.testing.assert_close(again[name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("placed", [{}, {"micro_batch": 2}, {"packing": True}])
def test_references_that_are_asked_once_change_nothing(placed: dict[str, Any], tmp_path: Path) -> None:
    """In the first epoch no bit, in the second rounding alone: its batches are others."""
    document = settings(expressions.dpo(), budget=2, unit="epochs")
    stages = []
    for early in (False, True):
        models = {"m0": tiny_model(1), "m1": tiny_model(2)}
        stage = Stage.at(tmp_path / str(early))
        made = {**document, "precompute": early}
        context = stage.context(Node("train", 1, made, {}))
        training = Training.of(made)
        assert training.precomputed == ({"s0"} if early else set())
        flows = {"s0": flow_for("dpo", models["m0"])}
        calls = count_calls(models["m1"])
        Trainer(training, models, flows, context, Placement(**placed)).run()
        stages.append((stage, len(calls)))
    (asked, often), (known, once) = stages
    assert known.metric("loss")[:3] == asked.metric("loss")[:3]
    assert known.metric("loss") == pytest.approx(asked.metric("loss"), rel=1e-5)
    assert once < often


def count_calls(model: torch.nn.Module) -> list[str]:
    """Grows by one with each forward pass of the model's body."""
    calls: list[str] = []
    model.model.register_forward_hook(lambda *_: calls.append("forward"))
    return calls


def test_references_asked_once_resume_bit_for_bit(tmp_path: Path) -> None:
    document = {**settings(expressions.dpo(), budget=2, unit="epochs"), "precompute": True}

    def run_pairs(stage: Stage) -> Weights:
        models = {"m0": tiny_model(1), "m1": tiny_model(2)}
        context = stage.context(Node("train", 1, document, {}))
        Trainer(Training.of(document), models, {"s0": flow_for("dpo", models["m0"])}, context, Placement()).run()
        return checkpoint.weights(models["m0"])

    whole = run_pairs(Stage.at(tmp_path / "whole"))
    stage = Stage.at(tmp_path / "cut", interrupt_after=4)
    with pytest.raises(Interrupted):
        run_pairs(stage)
    stage.interrupt_after = None
    assert same(run_pairs(stage), whole)
