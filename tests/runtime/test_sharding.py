"""Models in parts: two processes that hold half of each learn what one process learns."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pytest
import torch
from safetensors.torch import load_file
from small_chat import small_model
from test_crew import Run
from test_lora import Shop
from test_lora import live as adapted
from test_ranks import LENGTH, ONE, PLAIN, TWO, advantage_weighted, gradient, uneven
from test_train_node import World, live
from torch.distributed.tensor import DTensor
from training_cases import Stage, settings

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import ResourceMissing
from ptc.runtime.batches import Batch, Sample, collate
from ptc.runtime.crew import joined
from ptc.runtime.forward import Answer, answers
from ptc.runtime.holding import Whole
from ptc.runtime.loss import Loss
from ptc.runtime.losses import vocabulary
from ptc.runtime.ranks import Ranks
from ptc.runtime.sharding import Sharded
from ptc.runtime.tensors import part_of, whole

PARTS = TWO.model_copy(update={"sharding": "full"})
CUT = {"micro_batch": 1, "packing": True, "gradient_checkpointing": True}
"""The shares of two processes are not of as many samples, so one of them has to run along."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def apart(one: Stage, two: Stage) -> float:
    """How far the gradients of the first step are apart."""
    assert float(gradient(one).norm()) > 1e-3
    return float((gradient(two) - gradient(one)).norm() / gradient(one).norm())


def alike(one: Path, two: Path) -> bool:
    """Whether two models have the same tensors, up to rounding."""
    [own], [other] = (list(folder.glob("*.safetensors")) for folder in (one, two))
    before, after = load_file(own), load_file(other)
    return (
        own.name == other.name
        and before.keys() == after.keys()
        and all((tensor - before[name]).norm() <= 1e-4 * before[name].norm() for name, tensor in after.items())
    )


PPO = """edition 2026
from std.objectives import ppo
from std.verifiers import exact
source tasks = jsonl("tasks.jsonl") |> prompts(.prompt, answer = .answer)
model base = new.model("qwen3", hidden = 32, layers = 2, context = 64, tokenizer = characters(tasks), tied = false)
eval right = pass_rate(tasks, exact, n = 1, max_tokens = 2)
stage reasoner {
  train policy = base
  train critic = value_head(base)
  track anchor = ema(policy, 0.9)
  source rollouts = tasks |> sample(policy, n = 2, max_tokens = 3) |> score(exact)
  minimize ppo(rollouts, policy, critic, anchor, kl = 0.05)
  optimizer = adamw(lr = 1e-3)
  optimizer(critic) = adamw(lr = 1e-2)
  rollout = 16 prompts
  batch = 8 prompts
  passes = 2
  budget = 24 steps
  watch right every 8 steps
}
export reasoner.policy to "policy"
export reasoner.critic to "critic"
export reasoner.anchor to "anchor"
export reasoner.policy @ step(7) to "seventh"
"""
"""Two learners, one that follows, rollouts that are kept for several updates, and an eval that looks on."""


def several() -> dict[str, Json]:
    """Four terms: imitation, a teacher's whole distribution, preferences, and one that no part of a batch can tell."""
    uncut = expressions.apply("sqrt", expressions.apply("neg", expressions.per_sample(expressions.logp("m0"))))
    losses = [expressions.sft(), expressions.reverse_kl(), expressions.dpo(), uncut]
    document = settings(losses[0], count=12, budget=2)
    document["terms"] = [{"weight": 0.5, "source": f"s{at}", "loss": loss} for at, loss in enumerate(losses)]
    document["flows"] = {f"s{at}": [] for at in range(len(losses))}
    document["batch"] = {f"s{at}": {"count": 3, "unit": "prompts"} for at in range(len(losses))}
    return document


def lone(objective: dict[str, Any]) -> dict[str, Json]:
    document = settings(objective, count=12, budget=2)
    document["batch"]["s0"] = {"count": 3, "unit": "prompts"}
    return document


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "how"),
    [
        (lone(expressions.sft()), {}),
        (lone(expressions.dpo()), CUT),
        (lone(advantage_weighted()), CUT),
        (several(), {"micro_batch": 2}),
    ],
)
def test_two_halves_have_the_gradient_of_a_whole(document: dict[str, Any], how: dict[str, Any], world: World) -> None:
    uneven(world)
    document["optimizer"] = {"m0": {**PLAIN, "clip_norm": 0.5}}
    one = world.train(document, "one", profile=ONE.model_copy(update=how))
    two = world.train(document, "two", profile=PARTS.model_copy(update=how))
    assert apart(one, two) < 1e-5
    assert two.metric("loss") == pytest.approx(one.metric("loss"), rel=1e-5, abs=1e-7)
    for name in ("num_tokens", "mean_token_accuracy", "entropy", "grad_norm"):
        assert two.metric(name) == pytest.approx(one.metric(name), rel=1e-4)


@pytest.mark.slow
def test_grpo_in_halves_is_grpo_and_each_process_holds_half(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[int, int]] = []
    resting = Sharded.rest

    def counting(self: Sharded) -> None:
        resting(self)
        own = [one for root in self._roots.values() for one in root.model.parameters()]
        own += [one.grad for one in own if one.grad is not None]
        held.append((sum(part_of(one).numel() for one in own), sum(one.numel() for one in own)))

    monkeypatch.setattr(Sharded, "rest", counting)
    document = live(expressions.grpo(kl=0.1), LENGTH, budget=2)
    document["flows"]["s0"][0] |= {"n": 8, "max_tokens": 40}
    document["optimizer"] = {"m0": PLAIN}
    one, two = world.train(document, "one", profile=ONE), world.train(document, "two", profile=PARTS)
    most = max(held, key=lambda each: each[1])
    assert most[1] > 1.4 * held[-1][1] > 0  # the learner's gradients are among them
    assert all(own == pytest.approx(every / 2, rel=0.01) for own, every in held)
    for name in ("completions/mean_length", "reward", "num_tokens"):
        assert two.metric(name) == one.metric(name)
    assert apart(one, two) < 1e-5
    assert alike(world.folder / "one", world.folder / "two")
    files = [{path.name for path in (world.folder / name).iterdir()} for name in ("one", "two")]
    assert files[0] == files[1]


@pytest.mark.slow
def test_an_adapter_over_a_base_in_halves(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    document = adapted(expressions.grpo(kl=0.1), budget=2)
    document["optimizer"] = {"m0": PLAIN}
    models = {"m0": shop.adapted, "m1": shop.base}
    copied = PARTS.model_copy(update={"engine_copy": True})
    one, two = shop.train(document, "one", models, ONE), shop.train(document, "two", models, copied)
    assert two.metric("completions/mean_length") == one.metric("completions/mean_length")
    assert apart(one, two) < 1e-5
    assert alike(shop.root / "one" / "adapter", shop.root / "two" / "adapter")


@pytest.mark.slow
def test_what_was_not_cut_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptc.runtime.sharding.fully_shard", lambda module, **_: module)
    monkeypatch.setattr("ptc.runtime.sharding._sharded_modules", lambda root: [])
    monkeypatch.setattr(Sharded, "rest", lambda self: None)
    with pytest.raises(ResourceMissing, match="does not lie in 2 parts after torch was asked to"):
        world.train(lone(expressions.sft()), "out", profile=PARTS)


def test_a_head_is_asked_piece_by_piece_behind_the_forward_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a group of one process, in which all that many do is done, but for the others' part of it."""
    monkeypatch.setattr(vocabulary, "PIECE", 3 * 104)
    generator = torch.Generator().manual_seed(3)
    samples = [Sample({"response": tuple(torch.randint(4, 104, (2, 5), generator=generator).tolist())})]
    batch = collate([samples])
    loss = Loss([(1.0, expressions.reverse_kl())], still=["m1"])
    gradients = []
    with joined(tmp_path, 0, ONE):
        for held in (Whole(Ranks()), Sharded(Ranks(), "cpu")):
            models = {name: small_model(seed=seed) for seed, name in enumerate(("m0", "m1"))}
            models["m1"].requires_grad_(False)
            for name, model in models.items():
                held.place(name, model, torch.device("cpu"))

            def forward(
                name: str, columns: Sequence[str], part: Batch, held: Whole = held, models: Any = models
            ) -> list[Answer]:
                run = partial(held.run, models[name])
                with torch.set_grad_enabled(name == "m0"):
                    return answers(models[name], [part.sequences[column] for column in columns], run=run)

            loss.whole(loss.prepare(batch), forward).loss.backward()
            held.rest()
            gradients.append([whole(one.grad) for one in models["m0"].parameters() if one.grad is not None])
            assert all(isinstance(one, DTensor) == held.in_parts for one in models["m0"].parameters())
    for expected, found in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_a_process_is_killed_and_the_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    parts = 'devices = 2\nsharding = "full"\ncheckpoint_every = 3\n'
    for name in ("whole", "parts", "cut"):
        (tmp_path / name).mkdir()
    assert Run.start(tmp_path / "whole", PPO, "devices = 2\n").end()[0] == 0
    assert Run.start(tmp_path / "parts", PPO, parts).end()[0] == 0
    cut = Run.start(tmp_path / "cut", PPO, parts)
    cut.wait_for_steps(4)
    [member] = cut.members()
    os.kill(member, signal.SIGKILL)
    code, said = cut.end()
    assert code == 6 and "training process 2 of 2 was killed by signal 9" in said
    code, said = Run.start(tmp_path / "cut", PPO, parts).end()
    assert code == 0, said
    assert "bitwise" in "".join(path.read_text() for path in (tmp_path / "cut").glob(".ptc/runs/*/metrics.jsonl"))
    for model in ("policy", "critic", "anchor", "seventh"):
        whole_ones, halves, again = (tmp_path / name / model for name in ("whole", "parts", "cut"))
        assert alike(whole_ones, halves)
        assert (halves / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
