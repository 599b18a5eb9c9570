"""`stage @ step(n)` and `stage @ best(eval)`: weights that a stage leaves on its way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_cases import FolderPartial

from ptc import cli
from ptc.compiler.graph import Watch
from ptc.runtime.artifacts import InputWrong, Kept
from ptc.runtime.kept import Keeper, take

PROGRAM = """edition 2026
from std.objectives import sft
from std.verifiers import exact
source tasks = jsonl("tasks.jsonl") |> prompts(.prompt, answer = .answer)
source demos = tasks |> slice(0%, 60%) |> respond(.answer)
model base = new.model("llama", hidden = 32, layers = 1, context = 32, tokenizer = characters(tasks))
eval skill = pass_rate(tasks |> slice(60%, 100%), exact, n = 1, max_tokens = 2)
stage warm {
  train policy = base
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-2, warmup = 0%, schedule = "constant")
  batch = 16 samples
  budget = BUDGET steps
  watch skill every 2 steps
}
export warm to "last"
"""
ASKED = 'export warm @ step(3) to "early"\nexport warm @ best(skill) to "best"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"{letter}{digit}", "answer": letter} for letter in "ab" for digit in range(30)]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "p.toml").write_text('threads = 1\ndevice = "cpu"\n')
    return tmp_path


def run(text: str) -> str:
    """Runs a program and says what was computed."""
    Path("program.pt").write_text(text)
    assert cli.main(["run", "program.pt", "--profile", "p.toml"]) == 0
    # By time and not by name: two runs may begin in one second, and what follows it in their names is random.
    latest = max(Path(".ptc/runs").glob("*/run.log"), key=lambda log: log.stat().st_mtime_ns)
    return latest.read_text()


def weights(name: str) -> dict[str, torch.Tensor]:
    return load_file(Path(name) / "model.safetensors")


def equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.slow
def test_a_step_is_what_a_stage_of_so_many_steps_would_have_left(folder: Path) -> None:
    run(PROGRAM.replace("BUDGET", "8") + ASKED)
    early, last, best = weights("early"), weights("last"), weights("best")
    assert not equal(early, last)
    metrics = [json.loads(line) for line in next(Path(".ptc/runs").glob("*/metrics.jsonl")).read_text().splitlines()]
    watched = {row["step"]: row["eval/skill/pass@1"] for row in metrics if "eval/skill/pass@1" in row}
    assert sorted(watched) == [2, 4, 6, 8] and len(set(watched.values())) > 1
    highest = min(step for step, value in watched.items() if value == max(watched.values()))
    run(PROGRAM.replace("BUDGET", "3").replace('"last"', '"three"'))
    assert equal(weights("three"), early)
    run(PROGRAM.replace("BUDGET", str(highest)).replace('"last"', '"highest"'))
    assert equal(weights("highest"), best)


@pytest.mark.slow
def test_one_that_is_asked_for_later_has_the_stage_run_again_and_changes_nothing(folder: Path) -> None:
    run(PROGRAM.replace("BUDGET", "4"))
    before = weights("last")
    log = run(PROGRAM.replace("BUDGET", "4") + ASKED)
    assert "warm: runs again, for weights that it did not keep" in log and "warm: reused" in log
    assert equal(weights("last"), before)
    asked_first = {name: weights(name) for name in ("early", "best")}
    again = run(PROGRAM.replace("BUDGET", "4") + ASKED)
    assert "sealed" not in again
    assert not list(Path(".ptc/ckpt").glob("*/*"))
    assert all(equal(weights(name), tensors) for name, tensors in asked_first.items())


# The keeper by itself


def saved(name: str, folder: Path) -> None:
    (folder / "config.json").write_text(name)


def keeper(tmp_path: Path, *kept: Kept) -> tuple[Keeper, FolderPartial]:
    (tmp_path / "pieces").mkdir(exist_ok=True)
    partial = FolderPartial(tmp_path / "pieces")
    return Keeper(kept, partial, saved), partial


def watch(name: str, *values: float) -> list[object]:
    return [lambda step: {f"eval/skill/{name}": values[step - 1]} if step <= len(values) else {}]


@pytest.mark.parametrize(("metric", "step"), [("pass@1", 2), ("bits_per_character", 4)])
def test_the_best_is_kept_and_of_equal_ones_the_earlier(tmp_path: Path, metric: str, step: int) -> None:
    kept = Kept("m0", "kept-a", None, 0)
    keeping, partial = keeper(tmp_path, kept)
    (observe,) = keeping.observers(watch(metric, 0.5, 0.9, 0.9, 0.1, 0.1))  # type: ignore[arg-type]
    assert [observe(number)[f"eval/skill/{metric}"] for number in range(1, 6)] == [0.5, 0.9, 0.9, 0.1, 0.1]
    assert observe(6) == {}
    assert partial.names() == [f"kept-a-{step:08d}"]


def test_a_resumed_stage_passes_the_same_places_again(tmp_path: Path) -> None:
    step, best = Kept("m1", "kept-a", 2, None), Kept("m0", "kept-b", None, 0)
    keeping, partial = keeper(tmp_path, step, best)
    for again in (1, 2):
        keeping, partial = keeper(tmp_path, step, best)
        for observe in keeping.observers(watch("pass@1", 0.1, 0.3, 0.2)):  # type: ignore[arg-type]
            for number in range(again, 4):
                observe(number)
    assert partial.names() == ["kept-a-00000002", "kept-b-00000002"] and not partial.history
    (tmp_path / "out").mkdir()
    assert take(partial, step, tmp_path / "out") and (tmp_path / "out" / "config.json").read_text() == "m1"
    assert not take(partial, Kept("m0", "kept-c", 1, None), tmp_path / "out")


def test_steps_that_a_stage_never_has_are_refused(tmp_path: Path) -> None:
    keeping, _ = keeper(tmp_path, Kept("m0", "kept-a", 5, None), Kept("m0", "kept-b", None, 0))
    watches = [Watch("skill", 9, "prompts", {})]
    with pytest.raises(InputWrong, match=r"the stage ends after 4 steps, there is no step 5"):
        keeping.refuse_beyond(4, watches)
    with pytest.raises(InputWrong, match=r"ends after 8 steps, its eval is first measured at step 9"):
        keeping.refuse_beyond(8, watches)
    keeping.refuse_beyond(9, watches)
