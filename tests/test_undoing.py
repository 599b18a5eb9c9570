"""A stage that undoes what an earlier one learned: the ledger shows it, `protect` stops the run and says where the
weights lie."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """edition 2026
from std.objectives import sft, grpo
from std.verifiers import exact

source tasks = gym("spell_backward", size = 3_000, seed = 1, min_word_len = 3, max_word_len = 4)
  |> prompts(.word, answer = .answer)
source problems = tasks |> slice(0%, 60%)
source held_out = tasks |> slice(60%, 80%)
source demos    = tasks |> slice(80%, 100%) |> respond(.answer)
source echoes   = problems |> respond(.prompt)

model base = new.model("qwen3", hidden = 48, layers = 2, rope_theta = 100, tokenizer = characters(tasks))
eval skill = pass_rate(held_out, exact, n = 8, max_tokens = 8)

stage cold expands skill {
  train policy = base
  minimize sft(demos, policy)
  optimizer = adamw(lr = 3e-3, betas = [0.9, 0.98])
  batch  = 32 samples
  budget = 250 steps
}

stage sharp reshapes skill {
  train policy = cold
  source rollouts = problems |> sample(policy, n = 8, max_tokens = 8) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 6e-4)
  batch  = 32 prompts
  budget = 40 steps
}

stage echoing {
  train policy = sharp
  minimize sft(echoes, policy)
  optimizer = adamw(lr = 5e-4)
  batch  = 32 samples
  budget = 5 steps
}

stage again {
  train policy = echoing
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-3)
  batch  = 32 samples
  budget = 20 steps
}

PROTECT
export again to "out"
"""


def run(folder: Path, protect: str) -> subprocess.CompletedProcess[str]:
    (folder / "program.pt").write_text(PROGRAM.replace("PROTECT", protect), encoding="utf-8")
    command = [sys.executable, "-m", "ptc", "run", "program.pt"]
    return subprocess.run(command, cwd=folder, env=dict(os.environ), text=True, capture_output=True, check=False)


UNDOING = re.compile(
    r"^skill +echoing .*: \w+ undid ([\d.]+) points \[([\d.]+), ([\d.]+)\] of the ([\d.]+) that sharp brought \((\d+)%",
    re.MULTILINE,
)


@pytest.mark.slow
def test_what_a_stage_undoes_is_seen_and_stops_a_run_that_protects_it(tmp_path: Path) -> None:
    free = run(tmp_path, "")
    assert free.returncode == 0, free.stderr
    undone = UNDOING.search(free.stdout)
    assert undone is not None, free.stdout
    lost, low, high = (float(undone[place]) for place in (1, 2, 3))
    assert 3 < low <= lost <= high and lost < float(undone[4])  # a part of what came before
    assert 0 < float(undone[5]) < 100
    ledger = re.findall(r"^skill +(\w+) +[\d.]+% \[", free.stdout, re.MULTILINE)
    assert ledger == ["base", "cold", "sharp", "echoing", "again"]  # measured again wherever the claim goes on

    stopped = run(tmp_path, "protect skill within 3 points from sharp")
    assert stopped.returncode == 4, stopped.stderr
    said = re.search(
        r"skill within 3 points from sharp: changed by -([\d.]+) points \[-([\d.]+), -([\d.]+)\]", stopped.stderr
    )
    assert said is not None and [float(each) for each in said.groups()] == [lost, high, low]
    (path,) = re.findall(r'local\.model\("([^"]+)"\)', stopped.stderr)
    assert json.loads((tmp_path / path / "config.json").read_text())["hidden_size"] == 48
    again = UNDOING.search(stopped.stdout)
    assert again is not None and again[0] == undone[0]  # what was undone stands beside what stopped it
    assert not re.search(r"^skill +again", stopped.stdout, re.MULTILINE)  # what comes after is not begun
