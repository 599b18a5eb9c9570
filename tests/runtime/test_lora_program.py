"""Programs that train through adapters, run whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from ptc import cli

SHARED = """edition 2026
from std.objectives import sft, dpo, grpo, ppo, bradley_terry
from std.verifiers import exact
source tasks = jsonl("tasks.jsonl") |> prompts(.prompt, answer = .answer)
source demos = tasks |> slice(0%, 40%) |> respond(.answer)
source problems = tasks |> slice(40%, 80%)
model base = new.model("qwen3", hidden = 32, layers = 1, context = 64, tokenizer = characters(tasks))
stage whole {
  train policy = base
  minimize sft(demos |> take(10), policy)
  optimizer = adamw(lr = 1e-2)
  batch = 8 samples
  budget = 20 steps
}
stage warm {
  train policy = lora(whole, rank = 4, alpha = 8)
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-2)
  batch = 8 samples
  budget = 10 steps
}
"""
REASONER = """
model imitating = merge_adapter(warm)
stage reasoner {
  train policy = lora(imitating, rank = 2, targets = ["q_proj", "v_proj"])
  freeze reference = imitating
  source rollouts = problems |> sample(policy, n = 4, max_tokens = 2) |> score(exact)
  minimize grpo(rollouts, policy, reference, kl = 0.05)
  optimizer = adamw(lr = 1e-2)
  batch = 8 prompts
  budget = 4 steps
}
export imitating to "base"
export reasoner to "apart"
export merge_adapter(reasoner) to "merged"
"""
CRITIC = """
stage reasoner {
  train policy = lora(merge_adapter(warm), rank = 2)
  train critic = lora(value_head(whole), rank = 2)
  source rollouts = problems |> sample(policy, n = 2, max_tokens = 2) |> score(exact)
  minimize ppo(rollouts, policy, critic, kl = 0)
  optimizer = adamw(lr = 1e-2)
  batch = 8 prompts
  budget = 3 steps
}
export reasoner.policy to "apart"
export reasoner.critic to "critic"
"""
JUDGES = """
source pairs = jsonl("pairs.jsonl")
stage judge {
  train scorer = lora(reward_head(whole), rank = 2)
  minimize bradley_terry(pairs, scorer)
  optimizer = adamw(lr = 1e-2)
  batch = 16 samples
  budget = 30 steps
}
export judge to "judge"
"""

LINE = """
stage aligned {
  train policy = warm
  freeze reference = whole
  minimize dpo(jsonl("pairs.jsonl"), policy, reference)
  optimizer = adamw(lr = 1e-3)
  batch = 16 samples
  budget = 1 steps
}
export aligned to "aligned"
export warm @ step(5) to "early"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"{letter}{digit}", "answer": letter} for letter in "ab" for digit in range(50)]
    pairs = [{"prompt": row["prompt"], "chosen": "ab0", "rejected": "ba9"} for row in rows]
    for name, lines in (("tasks", rows), ("pairs", pairs)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "p.toml").write_text('threads = 1\ndevice = "cpu"\n')
    return tmp_path


def run(text: str) -> list[dict[str, float]]:
    """Runs a program and gives its metrics, step by step."""
    Path("program.pt").write_text(text)
    assert cli.main(["run", "program.pt", "--profile", "p.toml"]) == 0
    lines = next(Path(".ptc/runs").glob("*/metrics.jsonl")).read_text().splitlines()
    return [row for row in map(json.loads, lines) if "step" in row and "event" not in row]


@pytest.mark.slow
def test_demonstrations_and_then_rewards_through_adapters(folder: Path) -> None:
    rows = [row for row in run(SHARED + REASONER) if row["label"] == "reasoner"]
    assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-6) and rows[-1]["kl"] > 0
    assert max(row["reward"] for row in rows) > 0.3
    apart, merged = (AutoModelForCausalLM.from_pretrained(folder / name) for name in ("apart", "merged"))
    tokens = AutoTokenizer.from_pretrained(folder / "merged")("ab0123", return_tensors="pt")["input_ids"]
    over = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder / "base"), folder / "apart")
    with torch.no_grad():
        answers = [model.eval()(input_ids=tokens).logits for model in (apart, merged, over)]
        base = AutoModelForCausalLM.from_pretrained(folder / "base")(input_ids=tokens).logits
    assert all(torch.allclose(answer, answers[0], rtol=0, atol=1e-5) for answer in answers)
    assert not torch.allclose(base, answers[0], rtol=0, atol=1e-3)


@pytest.mark.slow
def test_a_reward_model_through_an_adapter(folder: Path) -> None:
    losses = [row["loss"] for row in run(SHARED + JUDGES) if row["label"] == "judge"]
    assert losses[0] == pytest.approx(0.693147, abs=1e-5) and losses[-1] < 0.3
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained("judge"),
        AutoTokenizer.from_pretrained("judge"),
    )
    chat = [[{"role": "user", "content": "a1"}, {"role": "assistant", "content": text}] for text in ("ab0", "ba9")]
    tokens = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        good, bad = model(**tokens).logits.flatten().tolist()
    assert good > bad


@pytest.mark.slow
def test_policy_and_critic_through_adapters(folder: Path) -> None:
    rows = [row for row in run(SHARED + CRITIC) if row["label"] == "reasoner"]
    assert len(rows) == 3 and all(row["grad_norm"] > 0 and row["grad_norm/critic"] > 0 for row in rows)
    model, tokenizer = (
        AutoModelForTokenClassification.from_pretrained("critic"),
        AutoTokenizer.from_pretrained("critic"),
    )
    with torch.no_grad():
        assert model(**tokenizer("a1", return_tensors="pt")).logits.abs().max() > 0


@pytest.mark.slow
def test_the_base_is_on_the_disk_once_and_exports_are_whole(folder: Path) -> None:
    run(SHARED + LINE)
    weights = [path for path in Path(".ptc/objects").glob("*/*/model.safetensors") if is_linked(path)]
    assert len(weights) == 7  # `whole`, its adapter, `warm` at step 5 and at its end, `aligned`, and two exports
    assert len({path.stat().st_ino for path in weights}) == 1
    for name in ("aligned", "early"):
        assert not is_linked(folder / name / "model.safetensors")
        assert (folder / name / "model.safetensors").read_bytes() == weights[0].read_bytes()
        assert AutoModelForCausalLM.from_pretrained(folder / name).config.num_hidden_layers == 1
    assert not any(is_linked(path) for path in Path(".ptc/objects").glob("*/*/*.j*"))  # which may be written anew


def is_linked(path: Path) -> bool:
    return path.stat().st_nlink > 1
