"""Rollouts: sampled at once with the weights of their start, cut into batches, and learned from several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pytest
import torch
from loss_cases import rollouts, tiny_model
from training_cases import AttemptsFlow, MemoryFlow, Stage, flow_for, settings

from ptc.compiler.graph import Node
from ptc.runtime import checkpoint
from ptc.runtime.artifacts import Interrupted
from ptc.runtime.batches import Draw, Order
from ptc.runtime.placement import Placement
from ptc.runtime.ranks import ALONE
from ptc.runtime.stateless import Stateless
from ptc.runtime.supply import Rollout, Supply
from ptc.runtime.trainer import Trainer
from ptc.runtime.training import Training


@dataclass
class Watched(Stateless):
    """A flow that remembers when it was asked for which prompts."""

    flow: AttemptsFlow
    drawn: list[tuple[int, list[int]]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return self.flow.size

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        self.drawn.append((step, list(units)))
        return self.flow.draw(step, units)


def document(rollout: int, passes: int, budget: int = 9) -> dict[str, Any]:
    made = settings(expressions.grpo(), count=2, budget=budget, models=["m0"])
    made["flows"] = {"s0": [{"op": "sample", "n": 4}]}
    made["batch"] = {"s0": {"count": 2, "unit": "prompts"}}
    return {**made, "rollout": {"count": rollout, "unit": "prompts"}, "passes": passes}


def run(made: dict[str, Any], stage: Stage) -> tuple[dict[str, torch.Tensor], Watched]:
    models = {"m0": tiny_model(1)}
    flow = flow_for("grpo", models["m0"])
    assert isinstance(flow, AttemptsFlow)
    watched = Watched(flow)
    context = stage.context(Node("train", 1, made, {}))
    Trainer(Training.of(made), models, {"s0": watched}, context, Placement()).run()
    return checkpoint.weights(models["m0"]), watched


def test_a_rollout_is_sampled_at_once_and_used_in_passes_of_whole_batches(tmp_path: Path) -> None:
    stage = Stage.at(tmp_path)
    _, watched = run(document(rollout=4, passes=2), stage)
    assert [step for step, _ in watched.drawn] == [0, 4, 8]
    order = Order(7, "s0", 10, 2)
    assert watched.drawn[1][1] == [*order.units(2), *order.units(3)]
    assert len(stage.metric("loss")) == 9
    # Five batches of two prompts are an epoch, and each is learned from twice.
    assert stage.metric("epoch")[-1] == pytest.approx(0.9)


def test_the_second_pass_learns_from_the_samples_of_the_first(tmp_path: Path) -> None:
    """On the first update the policy is what sampled, so the ratio is one; on later ones it has moved."""
    stage = Stage.at(tmp_path)
    run(document(rollout=2, passes=3, budget=3), stage)
    losses = stage.metric("loss")
    assert losses[0] == pytest.approx(0.0, abs=1e-6)
    assert losses[1] < -1e-4


def test_an_epoch_of_a_live_source_is_so_many_passes_over_its_prompts(tmp_path: Path) -> None:
    made = document(rollout=4, passes=2)
    made["budget"] = {"count": 1, "unit": "epochs"}
    stage = Stage.at(tmp_path)
    run(made, stage)
    assert len(stage.metric("loss")) == 10


def test_a_batch_in_attempts_draws_as_many_prompts_as_have_them() -> None:
    made = document(rollout=4, passes=1)
    made["batch"]["s0"] = {"count": 8, "unit": "samples"}
    training = Training.of(made)
    assert training.batch == {"s0": 2} and training.rhythm.batches == 2


@pytest.mark.parametrize(("rollout", "passes"), [(4, 2), (6, 1), (2, 3)])
def test_it_resumes_bit_for_bit_within_a_rollout(rollout: int, passes: int, tmp_path: Path) -> None:
    made = document(rollout, passes)
    whole = Stage.at(tmp_path / "whole")
    expected, _ = run(made, whole)
    for step in range(1, 9):
        stage = Stage.at(tmp_path / str(step), interrupt_after=step)
        with pytest.raises(Interrupted):
            run(made, stage)
        stage.interrupt_after = None
        again, watched = run(made, stage)
        assert all(torch.equal(again[name], tensor) for name, tensor in expected.items())
        assert stage.metric("loss") == whole.metric("loss")
        assert all(drawn >= step for drawn, _ in watched.drawn)


def test_a_rollout_comes_back_from_text_as_it_was() -> None:
    flow = flow_for("grpo", tiny_model(1))
    rollout = Rollout(4, {"s0": [flow.draw(4, [0, 1]), flow.draw(4, [2])]})
    assert Rollout.parse(rollout.text).text == rollout.text


def anchored() -> dict[str, Any]:
    """A ratio to the policy as it was when the rollout was taken up: a proximal step."""
    before = {**expressions.logp("m0"), "at": "batch_start"}
    ratio = expressions.apply("exp", expressions.apply("sub", expressions.logp("m0"), before))
    held = expressions.apply("clamp", ratio, expressions.constant(0.9), expressions.constant(1.1))
    gain = expressions.apply(
        "min",
        expressions.apply("mul", ratio, expressions.advantage()),
        expressions.apply("mul", held, expressions.advantage()),
    )
    return expressions.per_sample(expressions.apply("neg", gain))


def test_what_is_asked_at_the_start_of_a_rollout_resumes_bit_for_bit(tmp_path: Path) -> None:
    made = document(4, 2)
    made["terms"][0]["loss"] = anchored()
    whole = Stage.at(tmp_path / "whole")
    expected, _ = run(made, whole)
    assert whole.metric("clip_ratio/region_mean")[0] == 0.0 and max(whole.metric("clip_ratio/region_mean")) > 0
    for step in (1, 3, 6):
        stage = Stage.at(tmp_path / str(step), interrupt_after=step)
        with pytest.raises(Interrupted):
            run(made, stage)
        stage.interrupt_after = None
        again, _ = run(made, stage)
        assert all(torch.equal(again[name], tensor) for name, tensor in expected.items())
        assert stage.metric("loss") == whole.metric("loss")


def test_fixed_rows_beside_a_rollout_are_asked_about_when_it_is_taken_up() -> None:
    made = document(4, 2)
    before = {**expressions.logp("m0"), "at": "batch_start"}
    made["terms"].append(
        {
            "weight": 1.0,
            "source": "s1",
            "loss": expressions.per_sample(expressions.apply("sub", expressions.logp("m0"), before)),
        }
    )
    made["flows"]["s1"] = []
    made["batch"]["s1"] = {"count": 3, "unit": "samples"}
    rows = MemoryFlow([[sample] for group in rollouts(5) for sample in group])
    model = tiny_model(1)
    attempts = flow_for("grpo", model)
    asked: list[str] = []

    def taken_up(source: str, draw: Draw) -> Draw:
        asked.append(source)
        return draw

    training = Training.of(made)
    supply = Supply(training, {"s0": attempts, "s1": rows}, ALONE, taken_up)
    drawn = []
    for step in range(4):
        drawn.append(supply.draws(step)["s1"])
        assert sorted(asked) == ["s0"] * 2 + ["s1"] * 4
    order = Order(7, "s1", rows.size, 3)
    assert [draw.groups for draw in drawn] == [[rows.groups[unit] for unit in order.units(step)] for step in range(4)]
