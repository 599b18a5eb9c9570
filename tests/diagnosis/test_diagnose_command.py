"""`ptc diagnose` as a user has it: what it says of bad input, and two models that are really trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ptc.cli import main

TASKS = """\
edition 2026
from std.objectives import sft
from std.verifiers import exact
source tasks    = gym("spell_backward", size = 4_000, seed = 5, min_word_len = 3, max_word_len = 6)
  |> prompts(.word, answer = .answer)
source held_out = tasks |> slice(80%, 100%)
source problems = tasks |> slice(0%, 80%)
eval skill = pass_rate(held_out, exact, n = 8, max_tokens = 8)
"""
STAGES = """\
source some = problems |> keep(length(.answer) <= 4) |> respond(.answer)
source all  = problems |> respond(.answer)
model base = new.model("qwen3", hidden = 32, layers = 1, rope_theta = 100, tokenizer = characters(tasks))
model tiny = new.model(
  "qwen3", hidden = 8, layers = 1, heads = 1, kv_heads = 1, intermediate = 16, tokenizer = tokenizer(base),
)
stage partly {
  train policy = base
  minimize sft(some, policy)
  optimizer = adamw(lr = 4e-3)
  batch = 32 samples
  budget = 200 steps
}
stage small {
  train policy = tiny
  minimize sft(all, policy)
  optimizer = adamw(lr = 8e-3)
  batch = 32 samples
  budget = 300 steps
}
export partly to "first"
export small to "second"
"""


def failed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said of bad input, which ends with 2."""
    assert main(["diagnose", *words]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.pt"], "there is no file or folder nowhere.pt"),
        (["eval.pt", "--samples", "4"], "a group of 8"),
        (["eval.pt", "--prompts", "1"], "two or more"),
        (["eval.pt", "--model", "models/none"], "there is no model `models/none`"),
        (["eval.pt"], "name one with --model"),
        (["eval.pt", "--model", "base", "--references", "solution"], "has no such column"),
        (["eval.pt", "--model", "base", "--evl", "skill"], "did you mean `--eval`"),
        ([".", "--model", "base"], "not the folder of a run"),
    ],
)
def test_bad_input_gets_a_remedy(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    base = 'model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))\n'
    Path("eval.pt").write_text(TASKS + base, encoding="utf-8")
    assert said in failed(capsys, *words)


def test_a_diagnosis_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("program.pt").write_text(TASKS + STAGES, encoding="utf-8")
    assert main(["diagnose", "program.pt", "--model", "partly", "--eval", "skill"]) == 6
    assert "`ptc run` trains it" in capsys.readouterr().err


@pytest.mark.slow
def test_what_was_planted_is_found_and_a_second_call_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("training.pt").write_text(TASKS + STAGES, encoding="utf-8")
    Path("eval.pt").write_text(TASKS, encoding="utf-8")
    assert main(["run", "training.pt"]) == 0
    capsys.readouterr()

    def said(model: str) -> tuple[dict[str, Any], str]:
        assert main(["diagnose", "eval.pt", "--model", model, "--prompts", "48", "--json"]) == 0
        captured = capsys.readouterr()
        return json.loads(captured.out)["diagnoses"][0], captured.err

    first, _ = said("first")
    assert first["bottleneck"] == "support" and "lost from never learned" in first["open"][0]
    assert first["epsilon"] == pytest.approx(0.0457, abs=1e-4) and first["remedy"]["checks"]
    second, _ = said("second")
    assert second["bottleneck"] == "capacity"
    again, shown = said("first")
    assert again == first
    assert "finished" not in shown and "started" not in shown

    runs = sorted(Path(".ptc/runs").glob("*-training-*"))
    assert main(["diagnose", str(runs[0]), "--eval", "skill", "--prompts", "48"]) == 0
    assert {one["model"] for one in json.loads((runs[0] / "diagnosis.json").read_text())["diagnoses"]} == {
        "partly",
        "small",
    }
