"""The card of an export: what it says, that the hub's library reads it, and that nobody's README is written over."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from ptc import cli
from ptc.cards.markdown import code, fenced, table
from ptc.runtime.artifacts import Artifact
from ptc.runtime.exports import keep_card, place
from ptc.runtime.fsio import Disk
from ptc.runtime.manifest import Manifest

DISK = Disk()
PROGRAM = """edition 2026
from std.objectives import sft, reverse_kl
from std.verifiers import exact

source tasks    = jsonl("tasks.jsonl") |> prompts(.prompt, answer = .answer)
source demos    = tasks |> slice(0%, 50%) |> respond(.answer)
source held_out = tasks |> slice(50%, 100%)
model base = new.model("qwen3", hidden = 32, layers = 1, context = 64, tokenizer = characters(tasks))
eval skill = pass_rate(held_out, exact, n = 4, max_tokens = 2)

stage cold expands skill {
  train policy = base
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-2)
  batch  = 4 samples
  budget = 3 steps
}

stage second {
  train policy = base
  freeze teacher = cold
  source own = tasks |> slice(0%, 50%) |> sample(policy, n = 2, max_tokens = 2)
  minimize sft(demos, policy) + 0.1 * reverse_kl(own, policy, teacher)
  batch(own) = 2 prompts
  optimizer = adamw(lr = 1e-2)
  batch  = 4 samples
  budget = 2 steps
}

report skill
export second to "out/second"
"""
SECRET = "| `` [click](javascript:alert(1)) <script>"


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fenced("a\n```\nb") == "````\na\n```\nb\n````"
    assert code("`x``y`") == "``` `x``y` ```" and code("a\nb") == "`a b`"
    assert code("\x1b[31mred") == "`[31mred`" and code("") == "` `"
    assert table(["a", "b"], [[code(SECRET), "1"]]).splitlines()[2].count(" | ") == 1


def artifact(folder: Path, content: str) -> Artifact:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(content, encoding="utf-8")
    manifest = Manifest("files", DISK.seal(folder))
    (folder / "manifest.json").write_bytes(manifest.content)
    return Artifact(manifest.digest, folder, manifest.document)


def test_a_card_is_written_again_as_long_as_it_is_ours(tmp_path: Path) -> None:
    model, target = artifact(tmp_path / "one", "1"), tmp_path / "out" / "model"
    assert place(model, target, DISK)
    assert keep_card(target, "first", DISK) == target / "README.md"
    assert not place(model, target, DISK), "a card makes no other model of it"
    assert keep_card(target, "second", DISK) == target / "README.md"
    assert (target / "README.md").read_text(encoding="utf-8").startswith("second\n")
    assert place(artifact(tmp_path / "two", "2"), target, DISK) and not (target / "README.md").exists()


def test_what_a_user_wrote_stays_and_ours_stands_beside(tmp_path: Path) -> None:
    model, target = artifact(tmp_path / "one", "1"), tmp_path / "model"
    place(model, target, DISK)
    keep_card(target, "ours", DISK)
    changed = (target / "README.md").read_text(encoding="utf-8").replace("ours", "mine")
    (target / "README.md").write_text(changed, encoding="utf-8")
    assert keep_card(target, "ours", DISK) == target / "README.ptc.md"
    assert not place(model, target, DISK)
    assert place(artifact(tmp_path / "two", "2"), target, DISK)
    assert keep_card(target, "newer", DISK) == target / "README.ptc.md"
    assert (target / "README.md").read_text(encoding="utf-8") == changed
    assert (target / "config.json").read_text(encoding="utf-8") == "2"


@pytest.mark.slow
def test_the_card_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"{letter}{digit}", "answer": letter} for letter in "abcd" for digit in range(4)]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "program.pt").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "cpu.toml").write_text('device = "cpu"\nthreads = 1\n', encoding="utf-8")
    run = ["run", "program.pt", "--profile", "cpu.toml"]
    assert cli.main(run) == 0
    path = tmp_path / "out" / "second" / "README.md"
    card = ModelCard.load(path)
    verdict = json.loads(next(tmp_path.glob(".ptc/objects/*/*/verdict.json")).read_text(encoding="utf-8"))
    results = {result.metric_type: result for result in card.data.eval_results}
    assert set(results) == {"pass@1", "pass@2", "pass@4"} and results["pass@1"].dataset_name == "skill"
    assert (card.data.library_name, card.data.pipeline_tag, card.data.model_name) == (
        "transformers",
        "text-generation",
        "second",
    )
    text = card.text
    assert f"`cold` | `expands skill` | **`{verdict['verdict']}`** | 8 |" in text and verdict["words"] in text
    assert "`minimize sft(demos, policy) + 0.1 * reverse_kl(own, policy, teacher)`" in text
    assert "| **`second`** |" in text and "measuring  " in text and "`teacher = cold`" in text
    assert str(tmp_path) not in text and not re.search(r"\d{8}-\d{6}", text), "no path of the machine, no run"
    first = path.read_bytes()
    assert cli.main(run) == 0 and path.read_bytes() == first
    path.unlink()
    assert cli.main(run) == 0 and path.read_bytes() == first
