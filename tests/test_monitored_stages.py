"""Stages that really go wrong, in small: each is told apart by the monitor that is about it, and a guard stops it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ptc.report.sections.monitors import monitors
from ptc.runtime.history import history
from ptc.runtime.store import Store

HEAD = """edition 2026
from std.objectives import sft, grpo, dpo
from std.verifiers import exact

source sums = gym("chain_sum", size = 400, seed = 1, min_terms = 2, max_terms = 2, min_digits = 1, max_digits = 1)
"""

# A policy that names the first number or the last one, by chance. One of the two is wanted.
COPIES = (
    HEAD
    + """
source firsts   = sums |> prompts(.expression, answer = before(.expression, " "))
source problems = firsts |> slice(0%, 70%)
source lasts    = problems |> prompts(.prompt, answer = after(.prompt, " "))
model base = new.model("qwen3", hidden = 32, layers = 2, rope_theta = 100, tokenizer = characters(firsts))
eval first = pass_rate(firsts |> slice(70%, 100%), exact, n = 1, max_tokens = 4)

stage cold {
  train policy = base
  minimize sft((problems |> respond(.answer)) + (lasts |> respond(.answer)), policy)
  optimizer = adamw(lr = 4e-3, betas = [0.9, 0.98])
  batch  = 32 samples
  budget = 400 steps
}

# What is rewarded is not what is measured.
stage hacked {
  train policy = cold
  source rollouts = lasts |> sample(policy, n = 16, max_tokens = 4) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 5e-4)
  batch  = 16 prompts
  budget = 32 steps
  watch first every 4 steps
}

# One answer is right, and soon nothing else is tried.
stage collapsed {
  train policy = cold
  source rollouts = problems |> sample(policy, n = 8, max_tokens = 4) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 1e-2)
  batch  = 16 prompts
  budget = 50 steps
}
"""
)

SUMS = (
    HEAD
    + """
source tasks    = sums |> prompts(.expression, answer = .answer)
source problems = tasks |> slice(0%, 70%)
model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))
eval skill = pass_rate(tasks |> slice(70%, 100%), exact, n = 1, max_tokens = 4)

stage cold {
  train policy = base
  minimize sft(tasks |> respond(.answer), policy)
  optimizer = adamw(lr = 5e-3)
  batch  = 32 samples
  budget = 120 steps
}

# Four prompts, sixty times.
stage memorised {
  train policy = cold
  source few = problems |> take(4)
  source rollouts = few |> sample(policy, n = 16, max_tokens = 4) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 1e-3)
  batch  = 4 prompts
  budget = 60 steps
  watch skill every 5 steps
}

# Pairs that differ in one digit.
stage displaced {
  train policy = cold
  freeze reference = cold
  minimize dpo(jsonl("pairs.jsonl"), policy, reference, beta = 0.1)
  optimizer = adamw(lr = 5e-4)
  batch  = 16 samples
  budget = 50 steps
}
"""
)


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    (folder / "program.pt").write_text(program, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ptc", "run", "program.pt"]
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in folder.glob(".ptc/runs/*/metrics.jsonl") for line in path.open()]


def fired(folder: Path) -> dict[str, set[object]]:
    """The monitors that said something, by stage."""
    found: dict[str, set[object]] = {}
    for row in rows(folder):
        if row.get("event") == "monitor":
            found.setdefault(str(row["label"]), set()).add(row["monitor"])
    return found


def pairs(folder: Path) -> None:
    """Right sums, and the same with another last digit."""
    sums = ((left, right, str(left + right)) for left in range(10) for right in range(10))
    lines = [
        {"prompt": f"{left} + {right}", "chosen": right_, "rejected": f"{right_[:-1]}{(int(right_[-1]) + 1) % 10}"}
        for left, right, right_ in sums
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.mark.slow
def test_a_reward_that_is_hacked_and_a_policy_that_collapses(tmp_path: Path) -> None:
    done = run(tmp_path, COPIES)
    assert done.returncode == 0, done.stderr
    said = fired(tmp_path)
    assert "cold" not in said
    assert "proxy-gold-divergence" in said["hacked"] and "entropy-collapse" not in said["hacked"]
    assert said["collapsed"] >= {"entropy-collapse", "zero-advantage-rate"}
    assert "warning  hacked" in done.stdout and "proxy_gold_split(first)" in done.stdout
    (folder,) = (tmp_path / ".ptc" / "runs").iterdir()
    drawn = {stage.stage: stage.guards for stage in monitors(history(Store(tmp_path / ".ptc"), folder)).stages}
    first = drawn["hacked"][0]
    assert first.name == "proxy_gold_split(first)" and first.fired and set(first.fired) <= set(first.steps)
    assert not any(guard.fired for guard in drawn["cold"])


@pytest.mark.slow
def test_prompts_that_are_memorised_and_chosen_answers_that_are_lost(tmp_path: Path) -> None:
    pairs(tmp_path)
    done = run(tmp_path, SUMS)
    assert done.returncode == 0, done.stderr
    said = fired(tmp_path)
    assert "cold" not in said
    assert "prompt-memorisation" in said["memorised"]
    assert said["displaced"] == {"chosen-logp-drop"}


STOPPED = (
    HEAD
    + """
source tasks = sums |> prompts(.expression, answer = .answer)
model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))
stage cold {
  train policy = base
  minimize sft(tasks |> respond(.answer), policy)
  optimizer = adamw(lr = 5e-3)
  batch  = 16 samples
  budget = 40 steps
  GUARD
}
export cold to "out"
"""
)


@pytest.mark.slow
def test_a_guard_stops_a_stage_and_a_limit_that_moves_lets_it_go_on(tmp_path: Path) -> None:
    stopped = run(tmp_path, STOPPED.replace("GUARD", "guard entropy >= 2.0 over 3 steps"))
    line = f"entropy 1.{stopped.stderr.partition('entropy 1.')[2]}".strip()
    assert stopped.returncode == 4, stopped.stderr
    assert "< 2 at step" in line and "(guard of cold, program.pt:15)" in line and "its checkpoint of step 20" in line
    assert not (tmp_path / "out").exists()
    on = run(tmp_path, STOPPED.replace("GUARD", ""))
    assert on.returncode == 0 and "from step-00000020" in on.stdout, on.stdout
    assert (tmp_path / "out" / "model.safetensors").exists()
