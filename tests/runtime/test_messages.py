"""Messages through a whole run: a tokenizer made of them, turns that bear loss, prompts of turns that are sampled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptc import cli

PROGRAM = """\
edition 2026
from std.objectives import sft
from std.verifiers import exact

source talks = jsonl("talks.jsonl")
source asked = jsonl("asked.jsonl") |> prompts(.prompt, answer = .response) |> chat("add")
model base   = new.model("qwen3", hidden = 32, layers = 1, context = 256, tokenizer = characters(talks))
eval skill   = pass_rate(asked, exact, n = 2, max_tokens = 4)

stage tuned {
  train policy = base
  minimize sft(talks, policy)
  optimizer  = adamw(lr = 1e-3)
  batch      = 4 samples
  budget     = 3 steps
  max_length = 80
  truncate   = "drop"
}

report skill
export tuned to "out"
"""


@pytest.mark.slow
def test_a_program_learns_from_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "messages": [
                {"role": "system", "content": "add"},
                {"role": "user", "content": f"{left}+{right}"},
                {"role": "assistant", "content": str(left + right)},
            ]
        }
        for left in range(6)
        for right in range(6)
    ]
    rows.append({"messages": [{"role": "user", "content": "+" * 99}, {"role": "assistant", "content": "0"}]})
    Path("talks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:3]))
    Path("program.pt").write_text(PROGRAM)
    code = cli.main(["run", "program.pt"])
    assert code == 0, capsys.readouterr()
    metrics = next(Path(".ptc").rglob("metrics.jsonl")).read_text().splitlines()
    dropped = [event for event in map(json.loads, metrics) if event.get("event") == "rows"]
    assert [(event["rows"], event["dropped"]) for event in dropped] == [(37, 1)]
    tokenizer = json.loads(Path("out/tokenizer_config.json").read_text())
    assert "<|system|>" in json.dumps(tokenizer)
