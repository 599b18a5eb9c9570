"""A trainer with one fault learns something; the identities of the first step see each fault before it learns."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from enumerable import world as enumerable_world
from enumerable.attempts import ROWS
from enumerable.attempts import rollouts as rollouts_of
from enumerable.preferences import PAIR, pairs
from enumerable.targets import DEMOS, HELD, POLICY, repeated
from enumerable.world import Stage, World

from ptc import cli
from ptc.runtime import adapters, rollouts, samples, stage, trainer
from ptc.runtime.artifacts import InvariantBroken
from ptc.runtime.loading import load_model
from ptc.runtime.losses.totals import Totals
from ptc.runtime.nodes import train as node
from ptc.runtime.rehearsal import Rehearsal

Patch = pytest.MonkeyPatch
ATTEMPTS = rollouts_of(2, n=16)
SHORT: dict[str, Any] = {"steps": 1, "lr": 1e-3}
LIVE: dict[str, Any] = {**SHORT, "sources": [ATTEMPTS], "batch": "2 prompts"}
STAGES = {
    "sft": (Stage(roles=POLICY, loss="sft(rows, policy)", **SHORT), repeated(DEMOS)),
    "dpo": (Stage(roles=HELD, loss="dpo(rows, policy, reference)", **SHORT), pairs(PAIR)),
    "grpo": (Stage(roles=HELD, loss="grpo(rollouts, policy, reference, kl = 0.1)", **LIVE), ROWS),
    "passes": (Stage(roles=POLICY, loss="off_policy_grpo(rollouts, policy)", settings="passes = 2", **LIVE), ROWS),
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def run(world: World, name: str) -> None:
    stage, rows = STAGES[name]
    base = world.model(2, 0.15)
    world.train(stage, {"policy": base, "reference": base}, rows)


def cut_small(patch: Patch) -> None:
    """Micro-batches of three samples."""
    patch.setattr(enumerable_world, "PROFILE", enumerable_world.PROFILE.model_copy(update={"micro_batch": 3}))


@pytest.mark.parametrize("name", STAGES)
def test_a_sound_trainer_trains(world: World, name: str, monkeypatch: Patch) -> None:
    cut_small(monkeypatch)
    run(world, name)


@pytest.mark.parametrize("name", ["dpo", "grpo"])
def test_what_is_frozen_is_the_same_behind_the_stage(world: World, name: str, monkeypatch: Patch) -> None:
    load, loaded = node.load_models, dict[str, torch.nn.Module]()

    def noted(*args: Any) -> Any:
        loaded.update(load(*args))
        return loaded

    monkeypatch.setattr(node, "load_models", noted)
    stage, rows = STAGES[name]
    base = world.model(2, 0.15)
    world.train(replace(stage, steps=3, lr=0.01), {"policy": base, "reference": base}, rows)
    before = dict(load_model(base).named_parameters())
    frozen, learned = (dict(loaded[model].named_parameters()) for model in ("m1", "m0"))
    assert all(torch.equal(frozen[key], value) for key, value in before.items())
    assert not all(torch.equal(learned[key], value) for key, value in before.items())


def moved(model: torch.nn.Module) -> torch.nn.Module:
    """Other weights."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def other_reference(patch: Patch) -> None:
    load = node.load_models

    def faulty(folders: Any, trained: Any, standing: Any) -> Any:
        models = load(folders, trained, standing)
        return {name: model if name in trained else moved(model) for name, model in models.items()}

    patch.setattr(node, "load_models", faulty)


def dropped_micro_batch(patch: Patch) -> None:
    slices = trainer.Trainer._cut
    patch.setattr(trainer.Trainer, "_cut", lambda *args: iter(list(slices(*args))[:-1]))


def doubled_micro_batch(patch: Patch) -> None:
    slices = trainer.Trainer._cut

    def faulty(*args: Any) -> Iterator[tuple[int, int]]:
        cuts = list(slices(*args))
        return iter([*cuts, cuts[0]])

    patch.setattr(trainer.Trainer, "_cut", faulty)


def gradient_of_the_last_micro_batch_only(patch: Patch) -> None:
    """A loss that is right, and a `zero_grad` that is called too often."""
    accumulate = trainer.Trainer._accumulate

    def faulty(self: Any, *args: Any) -> float:
        backward = self._accelerator.backward

        def forgetful(loss: torch.Tensor) -> None:
            for learner in self._learners.values():
                learner.model.zero_grad()
            backward(loss)

        self._accelerator.backward = forgetful
        return accumulate(self, *args)

    patch.setattr(trainer.Trainer, "_accumulate", faulty)


def averaged_gradient(patch: Patch) -> None:
    """Each micro-batch's gradient over the number of micro-batches, as where losses are means of means."""
    accumulate = trainer.Trainer._accumulate

    def faulty(self: Any, *args: Any) -> float:
        total = accumulate(self, *args)
        for learner in self._learners.values():
            for parameter in learner.model.parameters():
                if parameter.grad is not None:
                    parameter.grad /= 7
        return total

    patch.setattr(trainer.Trainer, "_accumulate", faulty)


def stale_rollouts(patch: Patch) -> None:
    open_engine = stage.open_engine

    def faulty(profile: Any, folder: Path, *, module: Any, version: int) -> Any:
        return open_engine(profile, folder, module=moved(load_model(folder)), version=version)

    patch.setattr(stage, "open_engine", faulty)


def sharper_sampling(patch: Patch) -> None:
    """The engine samples at another temperature than the program says, and reports that distribution."""
    sample = rollouts.sample
    patch.setattr(rollouts, "sample", lambda *args: sample(*args[:3], replace(args[3], temperature=0.7), *args[4:]))


def old_start(patch: Patch) -> None:
    """What the policy said at the start of the batch is kept, and then mixed up."""
    taken_up = trainer.Trainer._taken_up

    def faulty(self: Any, source: str, draw: Any) -> Any:
        with torch.no_grad():
            kept = [parameter.clone() for parameter in self._models["m0"].parameters()]
            moved(self._models["m0"])
            found = taken_up(self, source, draw)
            for parameter, before in zip(self._models["m0"].parameters(), kept, strict=True):
                parameter.copy_(before)
        return found

    patch.setattr(trainer.Trainer, "_taken_up", faulty)


def means_of_other_counts(patch: Patch) -> None:
    of = Totals.of

    def faulty(batch: Any) -> Totals:
        totals = of(batch)
        return replace(totals, samples_of_prompt=totals.samples_of_prompt + 1)

    patch.setattr(Totals, "of", staticmethod(faulty))


FAULTS: list[tuple[Callable[[Patch], None], str, str]] = [
    (other_reference, "dpo", "`reference` is what `policy` starts from, so both say the same of `.chosen`"),
    (other_reference, "grpo", "`reference` is what `policy` starts from, so both say the same of `.response`"),
    (dropped_micro_batch, "sft", "however it is cut"),
    (dropped_micro_batch, "dpo", r"the loss of the first batch is 0.69315, however it is cut"),
    (dropped_micro_batch, "grpo", "however it is cut"),
    (doubled_micro_batch, "dpo", "0.69315, however it is cut"),
    (gradient_of_the_last_micro_batch_only, "sft", "the gradient of the first batch is the same however it is cut"),
    (averaged_gradient, "grpo", "the gradient of the first batch is the same however it is cut"),
    (stale_rollouts, "grpo", "the engine gives the tokens .* so every ratio is 1: they differ by"),
    (sharper_sampling, "grpo", "the engine gives the tokens .* not by this distribution"),
    (old_start, "passes", "`policy` as the first batch was taken up is `policy` as it is learned from"),
    (means_of_other_counts, "grpo", "advantages of a group sum to"),
]


@pytest.mark.parametrize(("fault", "stage", "said"), FAULTS, ids=[f"{each[0].__name__}-{each[1]}" for each in FAULTS])
def test_a_faulty_trainer_is_stopped_at_the_first_step(
    world: World, monkeypatch: Patch, fault: Callable[[Patch], None], stage: str, said: str
) -> None:
    cut_small(monkeypatch)
    fault(monkeypatch)
    with pytest.raises(InvariantBroken, match=f"identity-violated: .*{said}"):
        run(world, stage)


KINKED = """
objective moved(rollouts: Trajectories{prompt, response, logprobs} by policy within 8 steps, policy: Trained) {
  let away = logp(policy, .response, like = .logprobs) - .logprobs
  loss = mean(max(away, -away), over = [token, sample])
}
stage learner {"""


def test_a_loss_without_one_gradient_at_its_start_is_not_refused(world: World, monkeypatch: Patch) -> None:
    """What a policy has moved by rises on both sides of where it was: its slope there is what rounding makes it."""
    cut_small(monkeypatch)
    stage = Stage(roles=POLICY, loss="moved(rollouts, policy)", **LIVE)
    text = stage.text.replace("from std.objectives import moved\n", "").replace("\nstage learner {", KINKED)
    monkeypatch.setattr(Stage, "text", text)
    again, asked = Rehearsal._once_more, list[object]()
    monkeypatch.setattr(Rehearsal, "_once_more", lambda self: asked.append(self) or again(self))
    sampled = samples.sampled

    def rounded(*args: Any) -> list[Any]:
        """As of an engine that rounds otherwise."""
        return [
            replace(one, token_numbers={"logprobs": [value + 1e-6 for value in one.token_numbers["logprobs"]]})
            for one in sampled(*args)
        ]

    monkeypatch.setattr(samples, "sampled", rounded)
    world.train(stage, {"policy": world.model(2, 0.15)}, ROWS)
    assert asked


PROGRAM = """edition 2026
from std.objectives import dpo
source rows = jsonl("rows.jsonl")
model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(rows))
stage learner {
  train policy = base
  freeze reference = base
  minimize dpo(rows, policy, reference)
  optimizer = adamw(lr = 1e-3)
  batch = 4 samples
  budget = 1 steps
}
export learner to "out"
"""


def test_a_run_ends_with_exit_code_4(tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in pairs(PAIR)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "program.pt").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        other_reference(patch)
        assert cli.main(["run", "program.pt"]) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert "identity-violated: `reference` is what `policy` starts from" in said
    assert not (tmp_path / "out").exists()
    assert cli.main(["run", "program.pt"]) == 0
    assert (tmp_path / "out").exists()


def adapted(world: World, base: Path) -> Path:
    settings = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": "all-linear", "seed": 1}
    return world.derived("lora", base, settings)


ADAPTED = Stage(
    roles=("train policy = lora(base, rank = 4)", "freeze reference = base"),
    loss="dpo(rows, policy, reference)",
    **SHORT,
)


def test_a_fresh_adapter_is_held_to_change_nothing(world: World, monkeypatch: Patch) -> None:
    """The reference is the adapted model with the adapter off: where that is another one, the first step says so."""
    base = world.model(2, 0.15)
    models = {"policy": adapted(world, base), "reference": base}
    world.train(ADAPTED, models, pairs(PAIR))
    off = adapters.AdapterOff.base

    @contextmanager
    def faulty(self: Any) -> Iterator[Any]:
        with off(self) as model:
            kept = {name: value.clone() for name, value in model.named_parameters()}
            moved(model)
            yield model
            with torch.no_grad():
                for name, value in model.named_parameters():
                    value.copy_(kept[name])

    monkeypatch.setattr(adapters.AdapterOff, "base", faulty)
    with pytest.raises(InvariantBroken, match="identity-violated: `reference` is what `policy` starts from"):
        world.train(ADAPTED, models, pairs(PAIR))
