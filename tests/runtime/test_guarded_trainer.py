"""Guards in the training loop: they stop it and change nothing, and what they know is in the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pytest
import torch
from loss_cases import tiny_model
from training_cases import Stage, flow_for, settings

from ptc.compiler.graph import Guard, Node
from ptc.runtime import checkpoint
from ptc.runtime.artifacts import Interrupted, InvariantBroken
from ptc.runtime.interference import Interference
from ptc.runtime.placement import Placement
from ptc.runtime.trainer import Trainer
from ptc.runtime.training import Training

Weights = dict[str, torch.Tensor]
ENTROPY = Guard("entropy-collapse", "entropy", "ge", 100.0, over=3, stops=True, place="program.pt:9")
"""No entropy of a small vocabulary is so great: broken at the third step."""
ANNOUNCED = Guard("entropy-collapse", "entropy", "ge", 100.0, over=3)


def joint(budget: int) -> dict[str, Any]:
    """Two terms that learn from sources of their own."""
    document = settings(expressions.sft(), budget=budget, models=("m0",))
    document["flows"]["s1"] = []
    document["terms"].append({"weight": 0.5, "source": "s1", "loss": expressions.sft()})
    document["batch"]["s1"] = {"count": 4, "unit": "samples"}
    return document


def run(document: dict[str, Any], stage: Stage, *guards: Guard) -> Weights:
    models = {name: tiny_model(number) for number, name in enumerate(document["models"], start=1)}
    flows = {source: flow_for("sft", models["m0"]) for source in document["flows"]}
    context = stage.context(Node("train", 1, document, {}, label="reasoner"))
    placement = Placement(checkpoint_every=2)
    Trainer(Training.of(document), models, flows, context, placement, guards=guards).run()
    return checkpoint.weights(models["m0"])


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def events(stage: Stage) -> list[tuple[int, str]]:
    return [(row["step"], row["level"]) for row in stage.rows if row.get("event") == "monitor"]


def test_a_guard_stops_at_its_step_and_says_what_is_kept(tmp_path: Path) -> None:
    stage = Stage.at(tmp_path)
    with pytest.raises(InvariantBroken) as stopped:
        run(settings(expressions.sft(), budget=6), stage, ENTROPY)
    words = str(stopped.value)
    assert (
        "< 100 at step 3, median of 3 steps (guard of reasoner, program.pt:9): its checkpoint of step 2 is kept"
        in words
    )
    assert events(stage) == [(3, "stop")]
    assert stage.partial.names() == ["step-00000002"]


def test_whoever_goes_on_is_stopped_again_unless_the_limit_moves(tmp_path: Path) -> None:
    document = settings(expressions.sft(), budget=6)
    expected, stage = run(document, Stage.at(tmp_path / "free")), Stage.at(tmp_path / "guarded")
    for _ in range(2):
        with pytest.raises(InvariantBroken, match="at step 3"):
            run(document, stage, ENTROPY)
    moved = Guard("entropy-collapse", "entropy", "ge", 0.0, over=3, stops=True)
    assert same(run(document, stage, moved), expected)


def test_monitors_that_warn_change_nothing_and_say_nothing_twice(tmp_path: Path) -> None:
    document = settings(expressions.sft(), budget=6)
    expected = run(document, Stage.at(tmp_path / "free"))
    for step in (2, 3, 4):
        stage = Stage.at(tmp_path / f"cut-{step}", interrupt_after=step)
        with pytest.raises(Interrupted):
            run(document, stage, ANNOUNCED)
        stage.interrupt_after = None
        assert same(run(document, stage, ANNOUNCED), expected)
        assert events(stage) == [(3, "warning")]
        assert [len(each.said) for each in stage.progress if each.done == 3] == [1]


def test_a_guard_that_nothing_answers_is_told_at_the_end(tmp_path: Path) -> None:
    stage = Stage.at(tmp_path)
    run(settings(expressions.sft(), budget=4), stage, Guard("kl-budget", "kl", "le", 0.2, over=2, stops=True))
    (row,) = [row for row in stage.rows if row.get("event") == "monitor"]
    assert row["step"] == 4 and "kl was never asked" in row["words"]


def test_gradients_of_terms_are_compared_where_a_guard_asks(tmp_path: Path) -> None:
    document = joint(7)
    free, guarded = Stage.at(tmp_path / "free"), Stage.at(tmp_path / "guarded")
    limit = Guard("gradient-interference", "gradient_cosine", "ge", -1.0, over=5, stops=True)
    assert same(run(document, free), run(document, guarded, limit))
    assert not free.metric("gradients/cosine")
    cosines = [(row["step"], row["gradients/cosine"]) for row in guarded.rows if "gradients/cosine" in row]
    assert [step for step, _ in cosines] == [1, 6] and all(-1 <= cosine <= 1 for _, cosine in cosines)


def test_the_cosine_is_that_of_the_parts() -> None:
    model = torch.nn.Linear(3, 2)
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    losses = [model(inputs).square().sum(), model(inputs).sum()]
    parts = [torch.cat([g.flatten() for g in torch.autograd.grad(loss, model.parameters(), retain_graph=True)])
             for loss in losses]  # fmt: skip
    interference = Interference([model])
    for loss in losses:
        loss.backward()
        interference.mark()
    cosine = torch.nn.functional.cosine_similarity(*parts, dim=0)
    norms = sorted(float(part.norm()) for part in parts)
    assert interference.metrics["gradients/cosine"] == pytest.approx(float(cosine), rel=1e-4)
    assert interference.metrics["gradients/norm_ratio"] == pytest.approx(norms[1] / norms[0], rel=1e-4)
