"""A model that is what lies under a learner's adapter answers as the same model loaded apart, whatever it is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from nodes_world import World
from peft import LoraConfig
from small_chat import save, small_model, small_tokenizer

from ptc import cli
from ptc.runtime.adapters import AdapterOff, adapt, write_adapter
from ptc.runtime.artifacts import Artifact
from ptc.runtime.batches import Sample, collate
from ptc.runtime.engines.open import open_engine
from ptc.runtime.engines.protocol import Request, Sampling
from ptc.runtime.forward import Predictions, answers
from ptc.runtime.judging import Grader, RewardModel, Weights, text_scores
from ptc.runtime.loading import load_base, load_model, load_models, save_plain
from ptc.runtime.model_folders import copy_model
from ptc.runtime.nodes.opened import OpenedModels
from ptc.runtime.packing import one_in_each, packed
from ptc.runtime.profile import Profile

LORA: dict[str, Any] = {"rank": 4, "alpha": 8.0, "dropout": 0.3, "targets": "all-linear", "seed": 5}
SAMPLES = [[Sample({"response": (prompt, ids)}, ends={"response": [len(prompt) + len(ids) - 1]})] for prompt, ids in (
    ([5, 6], [7, 8]), ([9], [10, 11, 12]), ([20, 21], [3]),
)]  # fmt: skip
ROWS = pa.table({"prompt": ["1 + 1", "2 + 2"], "response": ["2", "five"], "steps": [["2"], ["fi", "ve"]]})
PROFILE = Profile(device="cpu", threads=1)


@dataclass(frozen=True)
class Pair:
    """One model twice: under an adapter that has learned something and is off, and by itself."""

    learner: torch.nn.Module
    off: AdapterOff
    apart: torch.nn.Module
    folder: Path

    @staticmethod
    def of(base: Path, adapted: Path) -> Pair:
        models = load_models({"m0": adapted, "m1": base}, ["m0"], ["m1"])
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in models["m0"].parameters():
                if parameter.requires_grad:
                    parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        models["m0"].train(True)  # and its dropout is on
        off = models["m1"]
        assert isinstance(off, AdapterOff)
        return Pair(models["m0"], off, load_model(base).eval(), base)


def pair(root: Path, head: str) -> Pair:
    world, base = World(root), Artifact("base", save(small_model(), root / "base"), {})
    if head != "language":
        base = world.run(head, {"seed": 1}, init=base)
        model = load_base(base.path)
        torch.nn.init.normal_(model.get_submodule("score").weight, generator=torch.Generator().manual_seed(2))  # type: ignore[arg-type]
        (root / "scoring").mkdir()
        save_plain(model, base.path, root / "scoring")
        base = Artifact("scoring", root / "scoring", {})
    return Pair.of(base.path, world.run("lora", LORA, init=base).path)


@pytest.fixture
def language(tmp_path: Path) -> Pair:
    return pair(tmp_path, "language")


@pytest.fixture
def reward(tmp_path: Path) -> Pair:
    return pair(tmp_path, "reward_head")


def said(model: torch.nn.Module, lay: Any = one_in_each) -> torch.Tensor:
    """Logits, values or scores."""
    with torch.no_grad():
        [answer] = answers(model, [collate(SAMPLES).sequences["response"]], lay)
        return answer.head(answer.hidden) if isinstance(answer, Predictions) else answer


def differs(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


@pytest.mark.parametrize("lay", [one_in_each, packed])
@pytest.mark.parametrize("head", ["language", "value_head", "reward_head"])
def test_a_loss_is_told_what_the_base_says(tmp_path: Path, head: str, lay: Any) -> None:
    both = pair(tmp_path, head)
    assert differs(said(both.off, lay), said(both.apart, lay)) <= 1e-6
    both.learner.train(False)
    assert differs(said(both.learner, lay), said(both.apart, lay)) > 0.1


def test_an_adapter_over_the_head_is_off_when_the_head_is_asked_later(tmp_path: Path) -> None:
    """Adapters that were made elsewhere may be over the output embeddings, which are asked piece by piece."""
    base = save(small_model(tied=False), tmp_path / "base")
    adapted = adapt(load_base(base), LoraConfig(r=2, target_modules=["q_proj", "lm_head"], task_type="CAUSAL_LM"))
    (tmp_path / "adapted").mkdir()
    copy_model(base, tmp_path / "adapted")
    write_adapter(adapted, tmp_path / "adapted" / "adapter")
    both = Pair.of(base, tmp_path / "adapted")
    assert differs(said(both.off), said(both.apart)) <= 1e-6
    assert differs(said(both.learner), said(both.apart)) > 0.1


def test_a_reward_model_scores_as_it_did(reward: Pair) -> None:
    texts = [[5, 6, 7, 8], [9, 10, 11, 12, 13], [20, 3]]
    expected = text_scores(reward.apart, texts)  # type: ignore[arg-type]
    assert text_scores(reward.off, texts) == pytest.approx(expected, abs=1e-6)  # type: ignore[arg-type]
    assert text_scores(reward.learner, texts) != pytest.approx(expected, abs=0.1)  # type: ignore[arg-type]
    assert reward.learner.training  # as it was left


def test_rows_and_their_steps_are_scored_as_they_were(reward: Pair) -> None:
    judges = [
        RewardModel(Weights("judge0", small_tokenizer(), 256, lambda step: None, lambda model=model: model))  # type: ignore[arg-type, misc, return-value]
        for model in (reward.off, reward.apart)
    ]
    ours, theirs = ([verdict.score for verdict in judge(ROWS, 0)] for judge in judges)  # type: ignore[union-attr]
    assert ours == pytest.approx(theirs, abs=1e-6)
    for mine, other in zip(*(judge.steps(ROWS) or [] for judge in judges), strict=True):
        assert mine == pytest.approx(other, abs=1e-6)


def test_the_base_writes_what_it_wrote_while_the_adapter_learns(language: Pair) -> None:
    requests = [Request([5, 6, 7], [1, 2, 3]), Request([8], [4])]
    engines = [
        open_engine(PROFILE, language.folder, module=model)  # type: ignore[arg-type]
        for model in (language.off, language.apart, language.learner)
    ]
    off, apart, on = (
        [one for group in engine.generate(requests, Sampling(max_tokens=8)) for one in group] for engine in engines
    )
    assert [one.tokens for one in off] == [one.tokens for one in apart] != [one.tokens for one in on]
    for ours, theirs in zip(off, apart, strict=True):
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-6)
    sequences = [((5, 6), (7, 8, 9)), ((4,), (3,))]
    for mine, other in zip(*(engine.logprobs(sequences) for engine in engines[:2]), strict=True):
        assert mine == pytest.approx(other, abs=1e-6)


def test_the_base_grades_as_it_did(language: Pair) -> None:
    written = []
    for model in (language.off, language.apart, language.learner):
        engine = open_engine(PROFILE, language.folder, module=model)  # type: ignore[arg-type]
        said = engine.generate(
            [Request(small_tokenizer()("Grade this")["input_ids"], [0])], Sampling(temperature=0.0, max_tokens=12)
        )
        written.append(said[0][0].tokens)
        weights = Weights("m1", small_tokenizer(), 256, lambda step, engine=engine: engine, lambda: model)  # type: ignore[misc, arg-type, return-value]  # noqa: B023
        assert len(Grader(weights, {"rubric": "Is it right?", "min": 0, "max": 1})(ROWS, 0)) == 2
    assert written[0] == written[1] != written[2]


def test_what_stands_still_in_two_roles_is_there_once(language: Pair, tmp_path: Path) -> None:
    save(small_model(seed=1), tmp_path / "other")
    folders = {"m0": tmp_path / "other", "m1": language.folder, "m2": language.folder}
    models = load_models(folders, ["m0"], ["m1", "m2"])
    assert models["m1"] is models["m2"] is not models["m0"]
    moving = load_models(folders, ["m0"], ["m1"])  # "m2" follows another
    assert moving["m1"] is not moving["m2"]


def test_what_judges_under_two_names_is_opened_once(reward: Pair, tmp_path: Path) -> None:
    save(small_model(seed=1), tmp_path / "other")
    paths = {"judge0": reward.folder, "judge1": reward.folder, "judge2": tmp_path / "other", "model": reward.folder}
    with OpenedModels({name: Artifact(name, path, {}) for name, path in paths.items()}, PROFILE) as opened:
        assert opened("judge0") is opened("judge1")
        assert len({id(opened(name)) for name in ("judge1", "judge2", "model")}) == 3


# Programs -------------------------------------------------------------------------------------------------------------

PROGRAM = """edition 2026
from std.objectives import anchored_sft, bradley_terry, grpo
from std.verifiers import exact
source tasks = jsonl("tasks.jsonl") |> prompts(.prompt, answer = .answer)
source pairs = jsonl("pairs.jsonl")
model base = new.model("qwen3", hidden = 32, layers = 1, context = 128, tokenizer = characters(tasks))
stage ranking {{
  train judge = reward_head(base)
  minimize bradley_terry(pairs, judge)
  optimizer = adamw(lr = 1e-2)
  batch = 8 samples
  budget = 4 steps
}}
stage learner {{
{body}
  optimizer = adamw(lr = 1e-2)
  batch = 4 prompts
  budget = 3 steps
}}
"""
BODIES = {
    "a reward model under the one that learns": """  train policy = lora(base, rank = 2)
  train scorer = lora(ranking, rank = 2)
  freeze judge = ranking
  source rollouts = tasks |> sample(policy, n = 4, max_tokens = 4) |> score(judge)
  minimize grpo(rollouts, policy) + bradley_terry(pairs, scorer)""",
    "a reference that grades": """  train policy = lora(base, rank = 2)
  freeze reference = base
  source written = tasks |> sample(policy, n = 4, max_tokens = 4)
  source rollouts = written |> score(exact + 0.1 * judge(reference, rubric = "?"))
  minimize grpo(rollouts, policy, reference, kl = 0.1)""",
    "a teacher that writes": """  train policy = lora(base, rank = 2)
  freeze teacher = base
  source attempts = tasks |> sample(teacher, n = 2, max_tokens = 4)
  minimize anchored_sft(attempts, policy, teacher, kl = 0.1)""",
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BODIES)
def test_a_program_runs_as_with_the_base_loaded_apart(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": f"{number}+1", "answer": f"{number + 1}"} for number in range(8)]
    preferred = [{"prompt": row["prompt"], "chosen": row["answer"], "rejected": "no"} for row in rows]
    found = []
    for name, shares in (("shared", True), ("apart", False)):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        for file, lines in (("tasks", rows), ("pairs", preferred)):
            Path(f"{file}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        Path("program.pt").write_text(PROGRAM.format(body=BODIES[case]))
        Path("small.toml").write_text('threads = 1\ndevice = "cpu"\n')
        if not shares:
            monkeypatch.setattr("ptc.runtime.loading.is_base_of", lambda *_: False)
        assert cli.main(["run", "program.pt", "--profile", "small.toml"]) == 0
        lines = next(Path(".ptc/runs").glob("*/metrics.jsonl")).read_text().splitlines()
        metrics = [row for row in map(json.loads, lines) if row.get("label") == "learner" and "loss" in row]
        found.append([{key: row[key] for key in ("loss", "reward", "grad_norm") if key in row} for row in metrics])
    shared, apart = found
    assert len(shared) == 3
    for ours, theirs in zip(shared, apart, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6, rel=1e-5)
