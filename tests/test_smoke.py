"""`ptc run --smoke`: every node of a program is carried out, small, and what comes of it lies apart."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import NoReturn

import pytest

from ptc import api
from ptc.cli import main
from ptc.stand_ins import StandIns

ROOT = Path(__file__).resolve().parents[1]
SPELLING = ROOT / "examples" / "spelling.pt"


def smoke(program: Path, store: Path, *more: str) -> int:
    return main(["run", "--smoke", str(program), "--store", str(store), *more])


@pytest.mark.slow
def test_a_program_is_carried_out_small_and_what_it_makes_lies_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(SPELLING, tmp_path / "spelling.pt")
    assert smoke(Path("spelling.pt"), Path(".ptc")) == 0
    said = capsys.readouterr().out
    for stage in ("cold_start", "reasoner", "primed", "small"):
        assert f"stage {stage}  2 steps" in said
    assert "of random weights that means nothing: a smoke run goes on" in said
    assert "37 of 37 nodes" in said
    assert "exit 0" in said
    assert not (tmp_path / "out").exists()
    exported = tmp_path / ".ptc" / "smoke" / "exports" / "out" / "spelling-small"
    assert json.loads((exported / "config.json").read_text())["ptc_smoke"] is True
    assert [path.name for path in (tmp_path / ".ptc").iterdir()] == ["smoke"]
    assert smoke(Path("spelling.pt"), Path(".ptc")) == 0
    assert "37 of 37 nodes, 37 reused" in capsys.readouterr().out


HUB = """edition 2026
from std.objectives import sft
source lessons = hf.dataset("org/lessons") |> prompts(.question, response = .solution)
model base = hf.model("org/model")
stage tuned {
  train policy = base
  minimize sft(lessons, policy)
  optimizer = adamw(lr = 1e-5)
  batch = 8 samples
  budget = 1 epoch
}
"""


def test_a_model_that_nothing_here_describes_is_asked_for_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program.pt"
    program.write_text(HUB)
    assert smoke(program, tmp_path / "store") == 6
    said = capsys.readouterr()
    assert "stand_ins/models/org/model" in said.err
    assert "made-up rows stand for org/lessons" in said.out
    assert "Traceback" not in said.err


MADE_UP = """edition 2026
from std.objectives import sft, dpo
source lessons = hf.dataset("org/lessons") |> keep(.kind == "sum") |> prompts(.question, response = .solution)
source pairs = hf.dataset("org/pairs")
source talks = hf.dataset("org/talks") |> from_sharegpt()
model base = new.model("llama", hidden = 256, layers = 8, tokenizer = bpe(lessons, vocabulary = 4_096))
stage tuned {
  train policy = base
  minimize sft(lessons + talks, policy)
  optimizer = adamw(lr = 1e-5)
  batch = 8 samples
  budget = 1 epoch
}
stage preferring {
  train  policy    = tuned
  freeze reference = tuned
  minimize dpo(pairs, policy, reference)
  optimizer = adamw(lr = 1e-6)
  batch = 8 samples
  budget = 400 steps
}
"""


@pytest.mark.slow
def test_without_stand_ins_rows_are_made_up_with_the_columns_that_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program.pt"
    program.write_text(MADE_UP)
    assert smoke(program, tmp_path / "store") == 0
    said = capsys.readouterr().out
    (line,) = (line for line in said.splitlines() if "made-up rows stand for" in line)
    assert all(f"org/{name} train" in line for name in ("lessons", "pairs", "talks"))
    assert "stage preferring  2 steps" in said


def test_a_smoke_run_is_no_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(SPELLING), "--smoke", "--dry"]) == 2
    assert "--smoke is one" in capsys.readouterr().err


def test_stand_ins_are_for_smoke_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(SPELLING), "--stand-ins", str(tmp_path)]) == 2
    assert "--stand-ins is for --smoke" in capsys.readouterr().err


RECIPES = sorted(path.stem for path in (ROOT / "examples" / "recipes").glob("*.pt"))
STUBBED = {
    "constitutional_ai": ("harmless", "judge"),
    "deepseek_r1": ("unit_tests", "instructions", "one_language", "judge"),
    "llama3": ("annotators", "judge"),
    "nemotron_cascade": ("instructions", "unit_tests", "repaired", "judge"),
    "olmo3_think": ("unit_tests", "instructions", "judge"),
    "on_policy_distillation": ("company:questions", "company:documents", "instructions"),
    "openthoughts3": ("unit_tests",),
    "qwen3": ("instructions", "judge", "judge"),
    "rest_em": ("unit_tests",),
    "self_rewarding": (
        *("open_assistant:first_turns", "open_assistant:evaluations", "open_assistant:self_instruct"),
        *("judge", "judge"),
    ),
    "star": ("choice",),
    "tulu3": ("instructions", "judge"),
    "warp": ("judge",),
}
"""What no smoke run can ask, by the first words of the lines that name it."""


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_node_of_a_recipe_is_carried_out(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a smoke run asks nobody")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    program = ROOT / "examples" / "recipes" / f"{recipe}.pt"
    whole = api.compiled(api.check_file(program, stand_ins=StandIns(program.parent / "stand_ins")))
    code = smoke(program, tmp_path / "store")
    said = capsys.readouterr()
    assert code == 0, said.err
    for stage in (node for node in whole.nodes.values() if node.kind == "train"):
        assert f"stage {stage.label}  2 steps" in said.out
    lines = [line.removeprefix("  stubbed: ") for line in said.out.splitlines() if line.startswith("  stubbed: ")]
    assert sorted(line.partition(" ")[0] for line in lines) == sorted(STUBBED.get(recipe, ()))
    assert f"{len(whole.nodes)} of {len(whole.nodes)} nodes" in said.out
    assert smoke(program, tmp_path / "store") == 0
    assert f"{len(whole.nodes)} reused" in capsys.readouterr().out
