"""`report_to` with trackers of others: what stands in their files is what stands in `metrics.jsonl`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_cases import Stage, settings

from ptc.cli import main
from ptc.compiler.graph import Node
from ptc.runtime.profile import Profile
from ptc.runtime.reporting import reported

PROGRAM = """edition 2026
from std.objectives import sft, grpo
from std.verifiers import exact
source tasks = jsonl("rows.jsonl") |> prompts(.prompt, answer = .answer)
source demos = tasks |> slice(0%, 40%) |> respond(.answer)
source problems = tasks |> slice(40%, 80%)
source held_out = tasks |> slice(80%, 100%)
model base = new.model("qwen3", hidden = 16, layers = 1, context = 64, tokenizer = characters(tasks))
eval skill = pass_rate(held_out, exact, n = 2, max_tokens = 2)
stage warm {
  train policy = base
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-2)
  batch = 8 samples
  budget = 3 steps
}
stage reasoner {
  train policy = warm
  source rollouts = problems |> sample(policy, n = 2, max_tokens = 2) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 1e-2)
  batch = 4 prompts
  budget = 3 steps
  watch skill every 2 steps
}
"""
Curves = dict[str, list[tuple[int, float]]]
"""Of each metric, its values by step."""


def ran(folder: Path, tracker: str) -> dict[str, Curves]:
    """What `metrics.jsonl` holds of the steps of each stage, after the program ran twice."""
    words = [a + b for a in "abcdef" for b in "ghijk"]
    rows = "".join(json.dumps({"prompt": f"say {word}", "answer": word[0]}) + "\n" for word in words)
    (folder / "rows.jsonl").write_text(rows)
    (folder / "program.pt").write_text(PROGRAM)
    (folder / "profile.toml").write_text(f'device = "cpu"\nthreads = 1\nreport_to = ["{tracker}"]\n')
    for _ in range(2):
        assert main(["run", "program.pt", "--profile", "profile.toml"]) == 0
    found: dict[str, Curves] = {}
    for path in folder.glob(".ptc/runs/*/metrics.jsonl"):
        for row in map(json.loads, path.read_text().splitlines()):
            if row["kind"] == "train" and "event" not in row:
                curves = found.setdefault(row["label"], {})
                for name in row.keys() - {"t", "node", "label", "kind", "attempt", "step"}:
                    curves.setdefault(name, []).append((row["step"], row[name]))
    return found


def of_tensorboard(folder: Path, stage: str) -> tuple[Curves, Mapping[str, Any]]:
    [place] = folder.glob(f".ptc/trackers/*/{stage}/ptc")
    [settings] = place.glob("*/hparams.yml")
    named = dict(line.split(": ", 1) for line in settings.read_text().splitlines())
    return curves_of_tensorboard(place), named


def curves_of_tensorboard(folder: Path) -> Curves:
    events = EventAccumulator(str(folder)).Reload()
    return {name: [(each.step, each.value) for each in events.Scalars(name)] for name in events.Tags()["scalars"]}


def of_mlflow(folder: Path, stage: str) -> tuple[Curves, Mapping[str, Any]]:
    import mlflow

    runs = mlflow.search_runs(experiment_names=["ptc"], output_format="list")
    [run] = [run for run in runs if run.info.run_name.endswith(f"-{stage}")]
    assert run.info.status == "FINISHED"
    history = mlflow.MlflowClient().get_metric_history
    found = {name: [(each.step, each.value) for each in history(run.info.run_id, name)] for name in run.data.metrics}
    return {name.replace("pass_1", "pass@1"): curve for name, curve in found.items()}, run.data.params


def of_trackio(folder: Path, stage: str) -> tuple[Curves, Mapping[str, Any]]:
    base = sqlite3.connect(folder / "trackio" / "ptc.db")
    found: Curves = {}
    for step, row in base.execute(
        "select step, metrics from metrics where run_name like ? order by id", [f"%-{stage}"]
    ):
        for name, value in json.loads(row).items():
            found.setdefault(name, []).append((step, value))
    [[settings]] = base.execute("select config from configs where run_name like ?", [f"%-{stage}"])
    return found, json.loads(settings)


READERS: Mapping[str, Callable[[Path, str], tuple[Curves, Mapping[str, Any]]]] = {
    "tensorboard": of_tensorboard,
    "mlflow": of_mlflow,
    "trackio": of_trackio,
}


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, in which all trackers keep what they write."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("tracker", READERS)
def test_a_tracker_holds_each_step_of_each_stage_once(tracker: str, at_home: Path) -> None:
    if find_spec(tracker) is None:
        pytest.skip(f"{tracker} is not installed: pip install {tracker}")
    stages = ran(at_home, tracker)
    assert stages.keys() == {"warm", "reasoner"}
    for stage, curves in stages.items():
        told, named = READERS[tracker](at_home, stage)
        assert told.keys() == curves.keys()
        for name, curve in curves.items():
            assert [step for step, _ in told[name]] == [step for step, _ in curve]
            assert [value for _, value in told[name]] == pytest.approx([value for _, value in curve], rel=1e-6)
        assert named["stage"] == stage and str(named["optimizer/policy/lr"]) == "0.01"
    assert named["flows/rollouts/0/model"] == "policy" and int(named["flows/rollouts/0/n"]) == 2


@pytest.mark.slow
def test_wandb_keeps_a_run_of_each_stage(at_home: Path) -> None:
    if find_spec("wandb") is None:
        pytest.skip("wandb is not installed: pip install wandb")
    stages = ran(at_home, "wandb")
    folders = [path.name for path in at_home.glob("wandb/offline-run-*")]
    assert len(folders) == 2
    assert all(any(name.endswith(f"-{stage}") for name in folders) for stage in stages)


def test_a_resumed_stage_goes_on_in_the_files_of_tensorboard(tmp_path: Path) -> None:
    profile = Profile(device="cpu", devices=1, threads=1, store=tmp_path, report_to=["tensorboard"])
    stage = Stage.at(tmp_path / "partial", profile=profile)
    context = stage.context(Node("train", 1, settings(expressions.sft()), {}, label="cold"))
    with reported(context) as seen:
        for step in (1, 2, 3, 4):
            seen.log({"step": step, "loss": 1 / step})
    (tmp_path / "partial/step-00000002").mkdir()
    with reported(context) as seen:
        for step in (3, 4, 5):
            seen.log({"step": step, "loss": 2 / step})
    curves = curves_of_tensorboard(tmp_path / "trackers/cold/ptc")
    assert curves == {
        "loss": [(step, pytest.approx(1 / step)) for step in (1, 2)]
        + [(step, pytest.approx(2 / step)) for step in (3, 4, 5)]
    }
