"""Real rows through `ptc check --data`: GSM8K as questions and solutions, HH-RLHF's transcripts as pairs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from small_tokenizers import chatml, llama, model_folder

from ptc import api
from ptc.lang.diagnostic import Diagnostic

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
GSM8K, HH = DATA / "gsm8k", DATA / "hh_rlhf" / "harmless_base_a.jsonl"

here = pytest.mark.skipif(not DATA.exists(), reason="the rows are not here: ../shared/data")
pytestmark = here

STAGE = """\
  optimizer = adamw(lr = 1e-6)
  batch     = 8 samples
  budget    = 1 epoch
}
"""


def check(folder: Path, text: str) -> api.CheckResult:
    (folder / "program.pt").write_text(text, encoding="utf-8")
    return api.check_file(folder / "program.pt", data=True)


def only(result: api.CheckResult, code: str) -> Diagnostic:
    return next(each for each in result.diagnostics if each.code == code)


def solutions(folder: Path, settings: str = "  max_length = 4Ki\n", verifier: str = "math") -> str:
    return f"""\
edition 2026
from std.objectives import sft, grpo
from std.verifiers  import exact, math

source rows     = jsonl("{GSM8K}/train.jsonl") |> prompts(.question, answer = .answer)
source lessons  = rows |> respond(.answer)
source held_out = jsonl("{GSM8K}/test.jsonl") |> prompts(.question, answer = .answer)
model base      = local.model("{folder}/model")
eval solving    = pass_rate(held_out, {verifier}, n = 4, max_tokens = 512)

stage reader {{
  train policy = base
  minimize sft(lessons, policy)
{settings}{STAGE}
report solving
"""


@pytest.mark.parametrize("make", [chatml, llama])
def test_gsm8k_is_as_it_should_be_but_for_one_question(tmp_path: Path, make: type[object]) -> None:
    model_folder(tmp_path / "model", make())  # type: ignore[arg-type]
    began = time.process_time()
    result = check(tmp_path, solutions(tmp_path))
    assert time.process_time() - began < 30
    assert (
        result.looked
        == "looked at 8,792 rows of 2 sources; a prompt of plain text is a user's turn of the chat template"
    )
    said = [(each.code, each.severity) for each in result.diagnostics if each.severity != "note"]
    assert said == [("D407", "warning")]
    overlap = only(result, "D407")
    assert overlap.title == "1 of 1,319 prompts of `solving` are in what `reader` learns from"
    assert "test.jsonl:603 is worded like " in overlap.notes[0] and "A plane travels 1200 miles" in overlap.notes[0]


def test_the_verifier_that_reads_whole_solutions_and_the_one_that_does_not(tmp_path: Path) -> None:
    model_folder(tmp_path / "model", chatml())
    assert not [each for each in check(tmp_path, solutions(tmp_path)).diagnostics if each.code.startswith("V")]


def test_gsm8k_cut_short_is_counted(tmp_path: Path) -> None:
    model_folder(tmp_path / "model", chatml())
    settings = '  max_length = 768\n  truncate   = "right"\n'
    cut = only(check(tmp_path, solutions(tmp_path, settings)), "D411")
    assert "`response` is cut in " in cut.title and " of 200 rows" in cut.title


def test_a_leaked_test_split_is_found(tmp_path: Path) -> None:
    model_folder(tmp_path / "model", chatml())
    leaked = (GSM8K / "test.jsonl").read_text(encoding="utf-8").splitlines()[:50]
    mixed = [json.loads(line) for line in (GSM8K / "train.jsonl").read_text(encoding="utf-8").splitlines()[:2000]]
    mixed += [{**row, "question": f"  {row['question'].upper()}"} for row in map(json.loads, leaked)]
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mixed), encoding="utf-8")
    text = solutions(tmp_path).replace(f"{GSM8K}/train.jsonl", f"{tmp_path}/mixed.jsonl")
    found = only(check(tmp_path, text), "D407")
    assert found.severity == "error" and found.title.startswith("51 of 1,319 prompts")


def pairs(folder: Path, path: Path, settings: str = "  max_length = 4Ki\n") -> str:
    return f"""\
edition 2026
from std.objectives import dpo

source pairs = jsonl("{path}")
model base   = local.model("{folder}/model", aligned = false)

stage harmless {{
  train  policy    = base
  freeze reference = base
  minimize dpo(pairs, policy, reference)
{settings}{STAGE}
"""


@pytest.mark.parametrize("make", [chatml, llama])
def test_transcripts_are_pairs(tmp_path: Path, make: type[object]) -> None:
    model_folder(tmp_path / "model", make())  # type: ignore[arg-type]
    result = check(tmp_path, pairs(tmp_path, HH))
    assert [each for each in result.diagnostics if each.severity == "error"] == []
    assert result.looked == "looked at 1,156 rows of 1 source"


def test_transcripts_that_were_cut_lose_the_same_on_both_sides(tmp_path: Path) -> None:
    model_folder(tmp_path / "model", chatml())
    result = check(tmp_path, pairs(tmp_path, HH, '  max_length = 2Ki\n  truncate   = "left"\n'))
    cut = only(result, "D411")
    assert "`chosen` is cut in " in cut.title
    assert "D416" not in {each.code for each in result.diagnostics}
