"""ptc.lock: what the hub held is written down once, and read instead of asking again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ptc import api, lockfile
from ptc.cli import main
from ptc.compiler.catalogue import Checkpoint, Rows
from ptc.compiler.shapes import Shape
from ptc.lockfile import Lock

PROGRAM = """edition 2026
from std.objectives import sft
from .shared import rows
model base = hf.model("org/model")
stage warm {
  train policy = base
  minimize sft(rows |> respond(.answer), policy)
  optimizer = adamw(lr = 1e-3)
  batch     = 64 samples
  budget    = 2 epochs
}
"""
SHARED = """edition 2026
source rows = hf.dataset("org/set", config = "main") |> prompts(.question, answer = .answer)
"""
MODEL = Checkpoint(
    2048,
    1_000,
    "t" * 64,
    template="c" * 64,
    end_of_sequence=("<|end|>",),
    architecture="Qwen3ForCausalLM",
    vocabulary=151_936,
    shape=Shape(64, 2, 2, 2, 32, 168, 512),
    dropout=0.1,
    revision="a" * 40,
)
DATASET = Rows(("question", "answer"), types=(("question", "Text"), ("answer", "Text")), revision="b" * 40)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "shared.pt").write_text(SHARED)
    (tmp_path / "program.pt").write_text(PROGRAM)
    return tmp_path / "program.pt"


def stand_ins(folder: Path) -> Path:
    rows, model = folder / "datasets" / "org", folder / "models" / "org" / "model"
    rows.mkdir(parents=True)
    model.mkdir(parents=True)
    (rows / "set.main.train.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    (model / "config.json").write_text('{"architectures": ["Qwen3ForCausalLM"], "max_position_embeddings": 4096}')
    return folder


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    lock = Lock({"org/model": MODEL}, {"org/set:main": DATASET})
    lockfile.write(tmp_path / "ptc.lock", lock)
    assert lockfile.read(tmp_path / "ptc.lock") == lock
    assert lockfile.read(tmp_path / "nowhere" / "ptc.lock") == Lock()


def test_with_a_lock_everything_is_known_and_its_commits_are_meant(program: Path) -> None:
    without = api.check_file(program)
    assert [found.code for found in without.diagnostics if found.code == "D402"] == ["D402"]
    lockfile.write(lockfile.beside(program), Lock({"org/model": MODEL}, {"org/set:main": DATASET}))
    result = api.check_file(program)
    assert not [found for found in result.diagnostics if found.severity != "note" or found.code == "D402"]
    revisions = {node.kind: node.settings.get("revision") for node in api.compiled(result).nodes.values()}
    assert revisions["hub_model"] == "a" * 40
    assert revisions["hub_dataset"] == "b" * 40
    assert result.checked is not None
    (model,) = result.checked.program.models
    assert model.type.end_of_sequence == ("<|end|>",)
    assert model.type.dropout == 0.1
    assert model.type.vocabulary == 151_936


def test_lock_writes_what_imported_files_name_too(
    program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stand_ins(tmp_path / "hub")
    assert main(["lock", str(program), "--stand-ins", str(folder)]) == 0
    assert capsys.readouterr().out == f"{lockfile.beside(program)}: 1 model, 1 dataset\n"
    document = json.loads(lockfile.beside(program).read_text())
    assert document["schema"] == 1
    assert document["models"]["org/model"]["context"] == 4096
    assert document["datasets"]["org/set:main"]["columns"] == ["question", "answer"]
    assert "D402" not in {found.code for found in api.check_file(program).diagnostics}


def test_a_lock_that_cannot_be_read_is_an_error(program: Path) -> None:
    for text in ("{", '{"schema": 2}', '{"schema": 1, "models": {"org/model": {}}}'):
        lockfile.beside(program).write_text(text)
        found = api.check_file(program).diagnostics
        assert [each.code for each in found if each.severity == "error"] == ["D403"]


def test_what_is_not_in_the_lock_is_named_in_one_note(program: Path) -> None:
    lockfile.write(lockfile.beside(program), Lock({"org/model": MODEL}))
    (note,) = [found for found in api.check_file(program).diagnostics if found.code == "D402"]
    assert note.title == '"org/set" has not been fetched: its columns are unknown'
    assert note.helps[0] == "ptc lock FILE"


def test_a_reward_model_of_the_hub_is_known_by_its_architecture(program: Path) -> None:
    judge = replace(MODEL, architecture="LlamaForSequenceClassification")
    lockfile.write(lockfile.beside(program), Lock({"org/judge": judge}, {"org/set:main": DATASET}))
    program.write_text(
        'edition 2026\nfrom .shared import rows\nmodel judge = hf.model("org/judge")\n'
        "source tried = rows |> sample(judge) |> score(judge)\n"
    )
    result = api.check_file(program)
    assert result.checked is not None
    assert result.checked.program.models[0].type.head == "reward"
    assert "T120" not in {found.code for found in result.diagnostics}
