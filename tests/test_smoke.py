"""`ptc run --smoke`: every node of a program is carried out, small, and what comes of it lies apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ptc.cli import main

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
    assert "31 of 31 nodes" in said
    assert "exit 0" in said
    assert not (tmp_path / "out").exists()
    exported = tmp_path / ".ptc" / "smoke" / "exports" / "out" / "spelling-small"
    assert json.loads((exported / "config.json").read_text())["ptc_smoke"] is True
    assert [path.name for path in (tmp_path / ".ptc").iterdir()] == ["smoke"]
    assert smoke(Path("spelling.pt"), Path(".ptc")) == 0
    assert "31 of 31 nodes, 31 reused" in capsys.readouterr().out


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


def test_stand_ins_are_for_smoke_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(SPELLING), "--stand-ins", str(tmp_path)]) == 2
    assert "--stand-ins is for --smoke" in capsys.readouterr().err
