"""What goes wrong in the first half hour: files that are not there, of another form, places that cannot be written."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from ptc import api
from ptc.checkpoints import checkpoint
from ptc.cli import main
from ptc.progress import telling
from ptc.runtime.artifacts import InputWrong, ResourceMissing
from ptc.runtime.exports import refuse_place

PROGRAM = """edition 2026
from std.objectives import dpo
source pairs = jsonl("pairs.jsonl")
model tuned  = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(pairs))
stage preferred {
  train  policy    = tuned
  freeze reference = tuned
  minimize dpo(pairs, policy, reference)
  optimizer = adamw(lr = 1e-6)
  batch     = 4 samples
  budget    = 1 epoch
}
export preferred to "out"
"""
PAIR = {"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("program.pt").write_text(PROGRAM, encoding="utf-8")
    Path("pairs.jsonl").write_text(json.dumps(PAIR) + "\n", encoding="utf-8")
    return tmp_path


def test_a_file_that_is_not_there_ends_a_run_before_it_begins(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pairs.jsonl").unlink()
    assert main(["run", "program.pt"]) == 2
    said = capsys.readouterr().err
    assert f"`pairs` is read from {folder / 'pairs.jsonl'}: no such file or directory" in said
    assert not Path(".ptc").exists()


def test_an_export_that_would_overwrite_ends_a_run_before_it_begins(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").write_text("mine", encoding="utf-8")
    assert main(["run", "program.pt"]) == 2
    assert "is there already and is no export of ptc" in capsys.readouterr().err
    assert not Path(".ptc").exists()


def test_places_where_nothing_can_be_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_place(tmp_path / "new" / "export")
    (tmp_path / "file").touch()
    with pytest.raises(InputWrong, match="is no folder"):
        refuse_place(tmp_path / "file" / "export")
    monkeypatch.setattr("ptc.runtime.exports.os.access", lambda *asked: False)
    with pytest.raises(ResourceMissing, match="nothing may be written in"):
        refuse_place(tmp_path / "export")


def test_a_file_is_read_by_what_reads_its_form(folder: Path) -> None:
    found = api.check_text(PROGRAM.replace("pairs.jsonl", "pairs.parquet")).diagnostics
    assert [each.helps for each in found if each.code == "D403"] == [('parquet("pairs.parquet")',)]
    Path("pairs.jsonl").write_text("prompt,chosen,rejected\n", encoding="utf-8")
    [found_csv] = [each for each in api.check_file("program.pt").diagnostics if each.code == "D403"]
    assert "one JSON object per line" in found_csv.title


def test_columns_of_other_names_are_told_how_to_get_theirs(folder: Path) -> None:
    Path("pairs.jsonl").write_text('{"question": "a", "good": "b", "bad": "c"}\n', encoding="utf-8")
    [found] = [each for each in api.check_file("program.pt").diagnostics if each.code == "T110"]
    assert found.helps[0] == "|> prompts(.question, chosen = .…, rejected = .…)"


def test_an_adapter_alone_names_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "models/base"}', encoding="utf-8")
    found = checkpoint(str(tmp_path))
    assert found is not None and found.problem is not None
    assert f"cp -n models/base/* {tmp_path}" in found.problem


def test_what_an_eval_said_is_told() -> None:
    assert telling({"eval/reading/bits_per_character": 4.8475, "loss": 1.0}) == "4.848 bits/character · loss 1.000"


def test_a_row_that_is_too_long_is_told_what_becomes_of_such_rows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("program.pt").write_text(PROGRAM.replace("1 epoch", "1 epoch\n  max_length = 6"), encoding="utf-8")
    assert main(["check", "--data", "program.pt"]) == 2
    assert 'truncate = "right"' in capsys.readouterr().out


def test_a_folder_that_may_not_be_written_is_no_bug(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import ptc.runtime.nodes.sources as sources

    def refused(*_asked: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "somewhere")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "write_rows", refused)
        assert main(["run", "program.pt"]) == 6
    assert "ptc: somewhere: permission denied" in capsys.readouterr().err
