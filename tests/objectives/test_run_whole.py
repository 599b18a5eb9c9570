"""A program whose losses have heads, steps, contexts, whole texts, two sources and weights of before, run whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from ptc import cli

PROGRAM = """edition 2026
from std.objectives import bradley_terry, context_distillation, entropy_bonus, luffy, ppo, pretrain, prm, process_min
from std.objectives import proximal_sft, self_distillation
from std.verifiers import exact

source tasks     = gym("chain_sum", size = 40, seed = 1) |> prompts(.question, answer = .answer, context = .expression)
source documents = jsonl("documents.jsonl")
source marked    = jsonl("marked.jsonl")
source pairs     = jsonl("pairs.jsonl")
source demos     = tasks |> respond(.answer)
model base = new.model("qwen3", hidden = 32, layers = 1, context = 512, tokenizer = characters(tasks))

stage reader {
  train policy = base
  minimize pretrain(documents, policy)
  optimizer = adamw(lr = 1e-3)
  batch  = 4 samples
  budget = 2 steps
}

stage preference {
  train judge = reward_head(base)
  minimize bradley_terry(pairs, judge, center = 0.01)
  optimizer = adamw(lr = 1e-3)
  batch  = 4 samples
  budget = 2 steps
}

stage process {
  train judge = reward_head(base)
  minimize prm(marked, judge)
  optimizer = adamw(lr = 1e-3)
  batch  = 4 samples
  budget = 2 steps
}

stage distilled {
  train student = base
  freeze teacher = reader
  minimize context_distillation(demos, student, teacher) + anneal(1, 0.5, over = 2 steps) * proximal_sft(demos, student)
  optimizer = adamw(lr = 1e-3)
  batch  = 4 samples
  passes = 2
  budget = 5 steps
}

stage explorer {
  train policy = distilled
  train critic = value_head(distilled)
  freeze reference = base
  source rollouts = tasks |> sample(policy, n = 2, temperature = 1.0, max_tokens = 4) |> score(exact)
  minimize ppo(rollouts, policy, critic, reference)
  optimizer = adamw(lr = 1e-3)
  batch   = 2 prompts
  rollout = 4 prompts
  passes  = 2
  budget  = 5 steps
}

stage traced {
  train policy = base
  source rollouts = tasks |> sample(policy, n = 3, temperature = 1.0, max_tokens = 4) |> score(exact)
  source traces   = demos |> score(exact) |> join(rollouts, on = .prompt)
  minimize luffy(rollouts, traces, policy) + 0.001 * entropy_bonus(rollouts, policy)
  optimizer = adamw(lr = 1e-3)
  batch   = 2 prompts
  rollout = 4 prompts
  budget  = 3 steps
}

stage stepwise {
  train student = base
  track teacher = ema(student, 0.9)
  source attempts = tasks
    |> sample(student, n = 2, temperature = 1.0, max_tokens = 6)
    |> split_steps("1")
    |> score(process)
  minimize process_min(attempts, student) + self_distillation(attempts, student, teacher)
  optimizer = adamw(lr = 1e-3)
  batch  = 2 prompts
  budget = 3 steps
}

export traced          to "out/traced"
export stepwise        to "out/stepwise"
export reader          to "out/reader"
export preference      to "out/preference"
export process         to "out/process"
export explorer.policy to "out/explorer"
"""


def rows(folder: Path, name: str, *written: dict[str, object]) -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in written))


@pytest.mark.slow
def test_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows(tmp_path, "documents.jsonl", *({"text": f"State the {number}"} for number in range(8)))
    rows(
        tmp_path,
        "marked.jsonl",
        *(
            {"prompt": f"{number}+1", "steps": [f"is {number}", f"so {number + 1}"], "step_labels": [True, number > 3]}
            for number in range(8)
        ),
    )
    rows(
        tmp_path,
        "pairs.jsonl",
        *({"prompt": f"{number}+1", "chosen": f"{number + 1}", "rejected": f"{number}"} for number in range(8)),
    )
    (tmp_path / "program.pt").write_text(PROGRAM)
    (tmp_path / "small.toml").write_text("micro_batch = 3\nthreads = 1\n")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "program.pt", "--profile", "small.toml"]) == 0
    AutoModelForCausalLM.from_pretrained("out/explorer")
    judge = AutoModelForSequenceClassification.from_pretrained("out/process")
    assert judge.config.num_labels == 1
    said = capsys.readouterr().out
    assert "M.from_pretrained('out/explorer')" in said and "vllm serve out/explorer" in said
    assert "M.from_pretrained('out/process')" not in said and "vllm serve out/process" not in said
