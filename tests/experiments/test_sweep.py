"""A sweep over the third of four stages, for real: what comes before is run once, and what fails ends nothing."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ptc import cli
from ptc.experiments import commands
from ptc.runtime.executor import execute
from ptc.runtime.journal import read

STAGE = """
stage {name} {{
  train policy = {start}
  minimize sft(demos, policy)
  optimizer = adamw(lr = 3e-3)
  batch  = 8 samples
  budget = {steps} steps
  {gate}
}}
"""
RATES = ["1e-4", "3e-4", "1e-3", "3e-3", "1e-2", "3e-2"]
STAGES = (("one", "base", 4), ("two", "one", 3), ("three", "two", 3), ("four", "three", 2))


def program(gate: str = "") -> str:
    stages = [
        STAGE.format(name=name, start=start, steps=steps, gate=gate if name == "three" else "")
        for name, start, steps in STAGES
    ]
    return f"""edition 2026
from std.objectives import sft
from std.verifiers  import exact

param least: Real = 0%
source tasks    = gym("spell_backward", size = 200, seed = 1, min_word_len = 3, max_word_len = 3)
  |> prompts(.word, answer = .answer)
source held_out = tasks |> slice(0%, 20%)
source demos    = tasks |> slice(20%, 100%) |> respond(.answer)
model base = new.model("qwen3", hidden = 16, layers = 1, rope_theta = 100, tokenizer = characters(tasks))
eval skill = pass_rate(held_out, exact, n = 2, max_tokens = 4)
{"".join(stages)}
report skill
export four to "out"
"""


def trained(store: Path) -> Counter[str]:
    """How often each stage ran, by the journals of all runs."""
    return Counter(
        event.data["label"]
        for journal in store.glob("runs/*/events.jsonl")
        for event in read(journal).events
        if event.type == "RUNNING" and event.data["kind"] == "train"
    )


def record(store: Path) -> Any:
    (path,) = store.glob("experiments/*/experiment.json")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_six_settings_of_the_third_stage_run_the_first_two_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("four.pt").write_text(program(), encoding="utf-8")
    sweep = ["sweep", "four.pt", "--set", "three.optimizer.lr=" + ",".join(RATES)]

    assert cli.main([*sweep, "--dry"]) == 0
    assert "one    trained once for 6 runs" in capsys.readouterr().out
    assert not Path(".ptc").exists()

    assert cli.main(sweep) == 0
    store = Path(".ptc")
    assert trained(store) == {"one": 1, "two": 1, "three": 6, "four": 6}
    assert not Path("out").exists()  # runs would overwrite each other's

    (page,) = store.glob("experiments/*/comparison.html")
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!#)|<script|@import|url\((?!#)', text)  # nothing from elsewhere
    found = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert [row["shown"]["three.optimizer.lr"] for row in found["rows"]] == RATES
    results = [row["results"][0] for row in found["rows"]]
    assert results[0]["change"] is None and len({result["prompts"] for result in results}) == 1
    for result in results[1:]:
        assert result["simultaneous"]["level"] == pytest.approx(0.99)
        assert result["simultaneous"]["low"] <= result["change"]["low"] <= result["change"]["high"]
    assert any("looks better than it is" in note for note in found["notes"])
    runs = [trial["run"] for trial in record(store)["trials"]]
    assert len(set(runs)) == 6 and all((store / "runs" / run).is_dir() for run in runs)

    capsys.readouterr()
    assert cli.main(["compare", *runs[:2], "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["rows"][1]["results"][0]["value"] == results[1]["value"]
    assert [row["name"] for row in again["rows"]] == ["three.optimizer.lr=1e-4", "three.optimizer.lr=3e-4"]

    assert cli.main([*sweep, "--dry"]) == 0
    assert " 0 to run" in capsys.readouterr().out


@pytest.mark.slow
def test_a_gate_that_fails_ends_one_run_and_an_interruption_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("four.pt").write_text(program("ensure skill >= least"), encoding="utf-8")
    sweep = ["sweep", "four.pt", "--set", "least=0%,99%,0.1%"]
    begun = []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        """A run, and Ctrl-C at the end of the second one."""
        begun.append(1)
        outcome = execute(*arguments, **options)
        return replace(outcome, exit_code=130) if len(begun) == 2 else outcome

    monkeypatch.setattr(commands, "execute", interrupted)
    assert cli.main(sweep) == 130
    assert "the same command goes on:  ptc sweep four.pt --set least=0%,99%,0.1%" in capsys.readouterr().err
    assert [trial["exit_code"] for trial in record(Path(".ptc"))["trials"]] == [0, 130, None]

    monkeypatch.setattr(commands, "execute", execute)
    assert cli.main(sweep) == 4
    trials = record(Path(".ptc"))["trials"]
    assert [trial["exit_code"] for trial in trials] == [0, 4, 4]
    assert "skill" in trials[1]["message"]
    assert trained(Path(".ptc")) == {"one": 1, "two": 1, "three": 1, "four": 1}
    assert "least=99%: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "three.optimizer.lr=1e-4,x)"], "1 of 2 settings are wrong: nothing has started"),
        (["--set", "thre.budget=3 steps,4 steps"], "did you mean `three`?"),
        (["--set", "three.budget=3 steps,6 steps"], "these runs cannot be compared: nothing has started"),
        (["--set", "least=0%"], "a sweep has several runs"),
        (["--seeds", "2", "--set", "seed=1,2"], "leave one of them out"),
    ],
)
def test_one_wrong_setting_and_nothing_starts(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("four.pt").write_text(program(), encoding="utf-8")
    assert cli.main(["sweep", "four.pt", *words]) == 2
    assert said in capsys.readouterr().err
    assert not Path(".ptc").exists()


def test_unlike_runs_are_compared_for_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("four.pt").write_text(program(), encoding="utf-8")
    words = ["sweep", "four.pt", "--set", "three.budget=3 steps,6 steps", "--dry", "--unmatched", "how long it takes"]
    assert cli.main(words) == 0
    found = capsys.readouterr()
    assert "note[V708]" in found.err and "acknowledged: how long it takes" in found.err


def test_an_ablation_says_what_it_would_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("four.pt").write_text(program(), encoding="utf-8")
    assert cli.main(["ablate", "four.pt", "--drop", "two", "--drop", "tow", "--dry"]) == 0
    found = capsys.readouterr()
    assert "model two = one" in found.out and "budget    = 6 steps" in found.out
    assert "without `tow`: left out: the program has no stage `tow`: did you mean `two`?" in found.err
    assert "one    trained once for 2 runs" in found.out and "three  trained 2 times for 2 runs" in found.out
