"""The training loop on models of a few thousand parameters: resume, refusal of what is not finite, order, metrics."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pytest
import torch
from loss_cases import rollouts, tiny_model
from training_cases import ADAMW, MemoryFlow, Stage, flow_for, settings

from ptc.compiler.graph import Node
from ptc.runtime import checkpoint
from ptc.runtime.artifacts import Interrupted, InvariantBroken, ResourceMissing
from ptc.runtime.batches import Order
from ptc.runtime.learning_rates import OptimizerSettings
from ptc.runtime.placement import Placement
from ptc.runtime.trainer import Trainer
from ptc.runtime.training import Training

OBJECTIVES = ["sft", "grpo", "dpo", "reverse_kl"]
Weights = dict[str, torch.Tensor]


def run(document: dict[str, Any], stage: Stage, flow: Any = None, objective: str = "sft", **placed: Any) -> Weights:
    """The weights after the stage, from models made anew."""
    models = {"m0": tiny_model(1), "m1": tiny_model(2)}
    training = Training.of(document)
    flows = {"s0": flow or flow_for(objective, models["m0"])}
    context = stage.context(Node("train", 1, document, {}))
    Trainer(training, models, flows, context, Placement(**placed)).run()
    return checkpoint.weights(models["m0"])


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_stage_resumed_from_any_checkpoint_ends_bit_for_bit_alike(objective: str, tmp_path: Path) -> None:
    document = settings(getattr(expressions, objective)(), budget=6)
    whole = Stage.at(tmp_path / "whole")
    expected = run(document, whole, objective=objective, checkpoint_every=2)
    losses = whole.metric("loss")
    for step in range(1, 6):
        stage = Stage.at(tmp_path / f"cut-{step}", interrupt_after=step)
        with pytest.raises(Interrupted):
            run(document, stage, objective=objective, checkpoint_every=2)
        assert stage.partial.names()[-1] == f"step-{step:08d}"
        torch.manual_seed(step)  # whatever happened to the process in between
        stage.interrupt_after = None
        assert same(run(document, stage, objective=objective, checkpoint_every=2), expected)
        assert stage.metric("loss") == losses
        assert {"event": "resumed", "step": step, "level": "bitwise"} in stage.rows


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    stage = Stage.at(tmp_path)
    run(settings(expressions.sft(), budget=10), stage, checkpoint_every=2)
    assert stage.partial.history == [f"step-{step:08d}" for step in (2, 4, 6, 8, 10)]
    assert stage.partial.names() == ["step-00000008", "step-00000010"]


def test_checkpoints_hold_safetensors_and_json_alone(tmp_path: Path) -> None:
    stage = Stage.at(tmp_path)
    run(settings(expressions.sft(), budget=1), stage)
    assert {path.suffix for path in stage.partial.read("step-00000001").iterdir()} == {".safetensors", ".json"}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_micro_batches_do_not_change_what_is_learnt(objective: str, tmp_path: Path) -> None:
    document = settings(getattr(expressions, objective)(), budget=3)
    whole = run(document, Stage.at(tmp_path / "whole"), objective=objective)
    for size in (1, 3):
        cut = run(document, Stage.at(tmp_path / f"micro-{size}"), objective=objective, micro_batch=size)
        for name, tensor in cut.items():
            torch.testing.assert_close(tensor, whole[name], rtol=1e-3, atol=2e-4)


def test_a_loss_that_is_not_finite_leaves_the_weights_untouched(tmp_path: Path) -> None:
    broken = expressions.apply("div", expressions.sft(), expressions.constant(0.0))
    models = {"m0": tiny_model(1)}
    before = checkpoint.weights(models["m0"])
    document = settings(broken, models=["m0"])
    context = Stage.at(tmp_path).context(Node("train", 1, document, {}))
    flows = {"s0": flow_for("sft", models["m0"])}
    with pytest.raises(InvariantBroken, match="loss is inf at step 1, weights untouched"):
        Trainer(Training.of(document), models, flows, context, Placement()).run()
    assert same(checkpoint.weights(models["m0"]), before)


def test_a_gradient_that_is_not_finite_leaves_the_weights_untouched(tmp_path: Path) -> None:
    zero = expressions.apply("sub", expressions.logp("m0"), expressions.logp("m0"))
    loss = expressions.per_sample(expressions.apply("sqrt", zero))
    with pytest.raises(InvariantBroken, match=r"gradient's norm is (nan|inf) at step 1, weights untouched"):
        run(settings(loss), Stage.at(tmp_path))


def test_an_empty_batch_updates_nothing(tmp_path: Path) -> None:
    weights = run(settings(expressions.sft(), budget=2), Stage.at(tmp_path), flow=MemoryFlow([[], [], []]))
    assert same(weights, checkpoint.weights(tiny_model(1)))


def test_frozen_models_do_not_change(tmp_path: Path) -> None:
    models = {"m0": tiny_model(1), "m1": tiny_model(2)}
    document = settings(expressions.dpo(), budget=2)
    context = Stage.at(tmp_path).context(Node("train", 1, document, {}))
    Trainer(Training.of(document), models, {"s0": flow_for("dpo", models["m0"])}, context, Placement()).run()
    assert same(checkpoint.weights(models["m1"]), checkpoint.weights(tiny_model(2)))


def test_metrics_have_trl_s_names(tmp_path: Path) -> None:
    stage = Stage.at(tmp_path)
    flow = MemoryFlow([[sample] for group in rollouts(5, shortest=1) for sample in group])
    run(settings(expressions.sft(), count=5, budget=2, unit="epochs"), stage, flow=flow)
    assert len(stage.metric("loss")) == 6
    names = {"loss", "grad_norm", "learning_rate", "epoch", "num_tokens", "mean_token_accuracy", "entropy"}
    assert all(names <= row.keys() for row in stage.rows)
    assert stage.metric("epoch")[-1] == 2.0
    per_epoch = sum(sample.length for (sample,) in flow.groups)
    assert stage.metric("num_tokens")[-1] == 2 * per_epoch
    assert stage.metric("loss")[-1] < stage.metric("loss")[0]
    assert [progress.done for progress in stage.progress] == [1, 2, 3, 4, 5, 6]


def test_a_mean_without_gradient_that_looks_like_a_divergence_is_none(tmp_path: Path) -> None:
    """Of a mean that is taken before the gradient the model stands still, and says what an author would have said."""
    away = expressions.apply("sub", expressions.logp("m0", "rejected"), expressions.logp("m1", "rejected"))
    base = expressions.apply("stop", expressions.reduce("mean", away, "token", "group", "prompt"))
    gain = expressions.reduce("sum", expressions.logp("m0", "chosen"), "token")
    loss = expressions.reduce("mean", expressions.apply("mul", gain, expressions.apply("exp", base)), "group", "prompt")
    stage = Stage.at(tmp_path)
    run(settings(loss, budget=2), stage, objective="dpo", micro_batch=1)
    assert len(stage.metric("loss")) == 2
    assert not stage.metric("kl")


def test_mixed_precision_keeps_weights_in_float32(tmp_path: Path) -> None:
    full = Stage.at(tmp_path / "full")
    mixed = Stage.at(tmp_path / "mixed")
    run(settings(expressions.sft(), budget=5), full)
    weights = run(settings(expressions.sft(), budget=5), mixed, precision="bfloat16")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert mixed.metric("loss") == pytest.approx(full.metric("loss"), rel=0.05)
    assert mixed.metric("loss") != full.metric("loss")


def test_terms_of_several_sources_add_up(tmp_path: Path) -> None:
    document = settings(expressions.sft(), budget=1)
    document["terms"].append({"weight": 0.5, "source": "s1", "loss": expressions.grpo()})
    document["batch"]["s1"] = {"count": 2, "unit": "prompts"}
    models = {"m0": tiny_model(1), "m1": tiny_model(2)}
    flows = {"s0": flow_for("sft", models["m0"]), "s1": MemoryFlow(rollouts(9))}
    stage = Stage.at(tmp_path / "both")
    context = stage.context(Node("train", 1, document, {}))
    Trainer(Training.of(document), models, flows, context, Placement()).run()
    first, second = Stage.at(tmp_path / "first"), Stage.at(tmp_path / "second")
    run(settings(expressions.sft(), budget=1), first)
    lone = settings(expressions.grpo(), count=2, budget=1)
    for part in ("terms", "batch"):
        lone[part] = {"s1": lone[part]["s0"]} if part == "batch" else [{**lone[part][0], "source": "s1"}]
    models = {"m0": tiny_model(1), "m1": tiny_model(2)}
    context = second.context(Node("train", 1, lone, {}))
    Trainer(Training.of(lone), models, {"s1": MemoryFlow(rollouts(9))}, context, Placement()).run()
    expected = first.metric("loss")[0] + 0.5 * second.metric("loss")[0]
    assert stage.metric("loss")[0] == pytest.approx(expected, rel=1e-5)


def test_an_order_is_a_permutation_of_its_own_in_every_epoch() -> None:
    order = Order(seed=1, source="s0", size=10, count=4)
    epochs = [[unit for step in range(3 * epoch, 3 * epoch + 3) for unit in order.units(step)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert [len(order.units(step)) for step in range(3)] == [4, 4, 2]
    assert order.units(7) == Order(seed=1, source="s0", size=10, count=4).units(7)
    assert order.units(7) != Order(seed=2, source="s0", size=10, count=4).units(7)


def test_learning_rates_are_functions_of_the_step() -> None:
    def rates(schedule: str, warmup: Any, **more: Any) -> list[float]:
        each = OptimizerSettings.of({**ADAMW, "lr": 1.0, "schedule": schedule, "warmup": warmup, **more})
        return [each.learning_rate(step, 10) for step in range(10)]

    assert rates("constant", 0.0) == [1.0] * 10
    assert rates("constant", 0.3) == rates("constant", {"steps": 3}) == [0.25, 0.5, 0.75] + [1.0] * 7
    assert rates("linear", 0.0) == pytest.approx([1 - step / 10 for step in range(10)])
    assert rates("cosine", {"steps": 2})[2:] == pytest.approx([0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)])
    assert rates("linear", 0.0, floor=0.1) == pytest.approx([0.1 + 0.9 * (1 - step / 10) for step in range(10)])


def test_more_processes_than_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ResourceMissing, match="asks for 2 training processes, but accelerate finds 1"):
        run(settings(expressions.sft()), Stage.at(tmp_path), processes=2)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_packing_changes_nothing_that_is_learnt(objective: str, tmp_path: Path) -> None:
    document = settings(getattr(expressions, objective)(), budget=3)
    padded = Stage.at(tmp_path / "padded")
    whole = run(document, padded, objective=objective)
    for name, placed in (("packed", {}), ("cut", {"micro_batch_tokens": 20})):
        stage = Stage.at(tmp_path / name)
        weights = run(document, stage, objective=objective, packing=True, **placed)
        assert stage.metric("loss") == pytest.approx(padded.metric("loss"), rel=1e-4, abs=1e-6)
        assert stage.metric("grad_norm") == pytest.approx(padded.metric("grad_norm"), rel=1e-4)
        for tensor, other in zip(weights.values(), whole.values(), strict=True):
            torch.testing.assert_close(tensor, other, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize(
    ("placed", "level"),
    [({}, "bitwise"), ({"packing": True}, "statistical"), ({"micro_batch_tokens": 20}, "statistical")],
)
def test_a_stage_resumed_in_another_layout_says_so(placed: dict[str, Any], level: str, tmp_path: Path) -> None:
    document = settings(expressions.sft(), budget=4)
    stage = Stage.at(tmp_path, interrupt_after=2)
    with pytest.raises(Interrupted):
        run(document, stage)
    stage.interrupt_after = None
    run(document, stage, **placed)
    assert {"event": "resumed", "step": 2, "level": level} in stage.rows
