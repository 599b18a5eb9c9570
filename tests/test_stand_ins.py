"""A folder that stands for the hub: columns of datasets and headers of models without the hub."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_tokenizers import chatml, model_folder

from ptc import api, cli
from ptc.stand_ins import StandIns

PROGRAM = """\
edition 2026
from std.objectives import sft

source demos = hf.dataset("org/talks", config = "small", split = "train")
model base = hf.model("org/tiny")

stage tuned {
  train policy = base
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-5)
  batch = 8 samples
  budget = 1 epoch
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "datasets" / "org").mkdir(parents=True)
    for name in ("talks.small.train", "talks.small.test", "other"):
        row = '{"prompt": "a", "response": "b"}' if name != "other" else '{"question": "a"}'
        (tmp_path / "datasets" / "org" / f"{name}.jsonl").write_text(row + "\n")
    model_folder(tmp_path / "models" / "org" / "tiny", chatml(), context=512)
    return tmp_path


def test_files_are_found_by_name_config_and_split(folder: Path) -> None:
    stand_ins = StandIns(folder)
    found = stand_ins.dataset("org/talks", "small", "test")
    assert found is not None and found.name == "talks.small.test.jsonl"
    assert stand_ins.dataset("org/talks", None, "test") is None
    anything = stand_ins.dataset("org/other", None, "validation")
    assert anything is not None and anything.name == "other.jsonl"
    assert stand_ins.model("org/tiny@main") == folder / "models" / "org" / "tiny"
    assert stand_ins.model("org/large") is None


def test_a_program_is_checked_against_them(folder: Path) -> None:
    program = folder / "program.pt"
    program.write_text(PROGRAM)
    result = api.check_file(program, stand_ins=StandIns(folder))
    assert [each.code for each in result.diagnostics] == []
    assert result.checked is not None
    assert result.checked.program.models[0].type.context == 512
    program.write_text(PROGRAM.replace("org/talks", "org/other"))
    result = api.check_file(program, stand_ins=StandIns(folder))
    assert {each.code for each in result.diagnostics} == {"T110"}


def test_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = folder / "program.pt"
    program.write_text(PROGRAM)
    assert cli.main(["check", str(program), "--stand-ins", str(folder)]) == 0
    assert "ok" in capsys.readouterr().out
    assert cli.main(["check", str(program), "--stand-ins", str(folder / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err
