"""Costs against counts by hand: every completion is one token long, and every prompt of two characters five."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from small_chat import small_model, small_tokenizer
from transformers import Qwen3ForSequenceClassification

from ptc import cli
from ptc.runtime import costs, reading
from ptc.runtime.accounts import account
from ptc.runtime.arithmetic import arithmetic_of
from ptc.runtime.costs import Arithmetic, Cost
from ptc.runtime.engines.counting import CountingEngine
from ptc.runtime.engines.protocol import Completion, Engine, Request, Sampling
from ptc.runtime.judging import Weights, answers, text_scores
from ptc.runtime.render import render_prompts
from ptc.runtime.store import Store

ROOT = Path(__file__).parents[2]
PROMPT = 2 + 3
"""``<|user|>``, two characters, ``<|end|>``, ``<|assistant|>``."""

PROGRAM = """edition 2026
from std.objectives import sft, dpo, grpo, reverse_kl
from std.verifiers import exact

source all = jsonl("tasks.jsonl") |> prompts(.prompt, answer = .answer)
source tasks = all |> slice(0%, 50%)
source held = all |> slice(50%, 100%)
source demos = tasks |> respond(.answer)
source answers = held |> respond(.answer)
source pairs = jsonl("pairs.jsonl")
model base = new.model("qwen3", hidden = 32, layers = 2, context = 64, tokenizer = characters(all))
eval skill = pass_rate(held, exact, n = 4, max_tokens = 1)
eval likely = bits_per_character(answers)

stage cold expands skill {
  train policy = base
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-3)
  batch = 4 samples
  budget = 3 steps
}

stage sharp {
  train policy = cold
  source rollouts = tasks |> sample(policy, n = 4, max_tokens = 1) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 1e-3)
  batch = 2 prompts
  budget = 3 steps
  watch skill every 2 steps
}

stage preferred {
  train policy = sharp
  freeze reference = sharp
  minimize dpo(pairs, policy, reference)
  optimizer = adamw(lr = 1e-3)
  batch = 4 samples
  budget = 2 steps
}

stage distilled {
  train student = cold
  freeze teacher = sharp
  source own = tasks |> sample(student, n = 2, max_tokens = 1)
  minimize reverse_kl(own, student, teacher)
  optimizer = adamw(lr = 1e-3)
  batch = 4 prompts
  budget = 2 steps
}

report likely
export preferred to "out/preferred"
export distilled to "out/distilled"
"""


@dataclass
class Run:
    """What a program's nodes have cost, by kind and label."""

    folder: Path

    def start(self, program: str = PROGRAM, *more: str) -> Run:
        tasks = [{"prompt": f"{letter}{digit}", "answer": letter} for letter in "abcd" for digit in range(4)]
        pairs = [{"prompt": row["prompt"], "chosen": row["answer"], "rejected": "01"} for row in tasks]
        for name, rows in (("tasks", tasks), ("pairs", pairs)):
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (self.folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
        (self.folder / "program.pt").write_text(program, encoding="utf-8")
        (self.folder / "cpu.toml").write_text('device = "cpu"\nthreads = 1\n' + "".join(more), encoding="utf-8")
        return self

    def ended(self) -> Run:
        assert cli.main(["run", "program.pt", "--profile", "cpu.toml"]) == 0
        return self

    def provenance(self, kind: str, label: str) -> Mapping[str, Any]:
        found = [
            action.provenance
            for _, action in Store(self.folder / ".ptc").actions()
            if action.key_document["kind"] == kind and action.provenance["label"] == label
        ]
        assert found
        return found[0]

    def cost(self, kind: str, label: str) -> Cost:
        found = costs.cost_of(self.provenance(kind, label))
        assert found is not None
        return found

    def tokens(self, kind: str, label: str) -> tuple[int, int, int]:
        cost = self.cost(kind, label)
        return cost.sampled_tokens, cost.read_tokens, cost.trained_tokens


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return Run(tmp_path)


@pytest.mark.slow
def test_what_nodes_cost_by_hand(run: Run) -> None:
    run.start().ended()
    attempts_and_greedy = 8 * 4 + 8
    assert run.tokens("pass_rate", "skill of cold") == (attempts_and_greedy, 2 * 8 * PROMPT, 0)
    text = PROMPT + len("a") + len("E")
    assert run.tokens("bits_per_character", "likely of preferred") == (0, 8 * text, 0)
    assert run.tokens("train", "cold") == (0, 0, 3 * 4 * text)
    attempts, watched = 3 * 2 * 4, 8
    sampled = run.tokens("train", "sharp")
    assert sampled == (attempts + watched, 3 * 2 * PROMPT + watched * PROMPT, attempts * (PROMPT + 1))
    watching = costs.cost_of_watches(run.provenance("train", "sharp"))
    assert (watching.sampled_tokens, watching.read_tokens, watching.trained_tokens) == (watched, watched * PROMPT, 0)
    assert 0 < watching.device_seconds < run.cost("train", "sharp").device_seconds
    both_sides = text + text + 1
    assert run.tokens("train", "preferred") == (0, 2 * 4 * both_sides, 2 * 4 * both_sides)
    own = 2 * 4 * 2
    assert run.tokens("train", "distilled") == (own, 2 * 4 * PROMPT + own * (PROMPT + 1), own * (PROMPT + 1))


@pytest.mark.slow
def test_two_processes_cost_what_one_does(run: Run, tmp_path: Path) -> None:
    lines = PROGRAM[: PROGRAM.index("stage preferred")].replace("policy = cold", "policy = base")
    program = lines[: lines.index("stage cold")] + lines[lines.index("stage sharp") :] + 'export sharp to "out"\n'
    cost = run.start(program).ended().cost("train", "sharp")
    (tmp_path / ".ptc").rename(tmp_path / "earlier")
    both = run.start(program, "devices = 2\n")
    command = [sys.executable, "-m", "ptc", "run", "program.pt", "--profile", "cpu.toml"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    found = both.cost("train", "sharp")
    assert both.tokens("train", "sharp") == (cost.sampled_tokens, cost.read_tokens, cost.trained_tokens)
    assert found.flops == pytest.approx(cost.flops, rel=0.1)  # the rehearsal is cut otherwise
    assert found.device_seconds > 1.9 * both.provenance("train", "sharp")["seconds"]


def test_operations_of_a_model_by_hand() -> None:
    model = small_model()
    config: Any = model.config
    width, inner, size = config.hidden_size, config.intermediate_size, config.head_dim
    heads, shared = config.num_attention_heads * size, config.num_key_value_heads * size
    layer = width * heads + 2 * width * shared + heads * width + 3 * width * inner
    weights = config.num_hidden_layers * layer + config.vocab_size * width
    found = arithmetic_of(model)
    assert found == Arithmetic(weights, weights, config.num_hidden_layers * heads)
    attention = config.num_hidden_layers * heads
    assert found.forward(3, costs.attended([3])) == 2 * weights * 3 + 4 * attention * (1 + 2 + 3)
    assert found.learning(3, costs.attended([3])) == 3 * found.forward(3, costs.attended([3]))
    assert costs.attended([2], behind=5) == 6 + 7


def test_an_adapter_learns_for_less() -> None:
    frozen = Arithmetic(weights=1000, trained=10, attention=0)
    assert frozen.learning(1, 1) == 4 * 1000 + 2 * 10


def test_a_completion_costs_what_its_tokens_do_and_a_prompt_once() -> None:
    arithmetic = Arithmetic(weights=10, trained=10, attention=1)
    with costs.metered() as meter:
        costs.sampled(arithmetic, 4, [2, 3])
    assert meter.spent == Cost(0.0, 5, 4, 0, 2 * 10 * (5 + 4) + 4 * (1 + 2 + 3 + 4 + 5 + 6 + 5 + 6 + 7))


def test_what_is_read_twice_to_be_sure_is_no_token_but_operations() -> None:
    with costs.metered() as meter, costs.rehearsing():
        costs.trained(Arithmetic(weights=1, trained=1), [5])
    assert meter.spent == Cost(flops=30)


def test_what_interrupted_attempts_have_spent_is_not_forgotten(tmp_path: Path) -> None:
    for attempt in range(2):
        with pytest.raises(KeyboardInterrupt), account(tmp_path / "key.spent", devices=1):
            costs.spend(Cost(sampled_tokens=7 + attempt))
            raise KeyboardInterrupt
    (tmp_path / "other.spent").write_text('{"cost": ')  # as a machine that loses power leaves it
    with account(tmp_path / "key.spent", devices=2) as last, account(tmp_path / "other.spent", devices=1) as fresh:
        costs.spend(Cost(sampled_tokens=1))
        assert fresh.spent.sampled_tokens == 1 and last.spent.sampled_tokens == 15
        last.waited(1.0)
        assert last.spent.device_seconds < 0


class Brief:
    """An engine that says the same five tokens to everything."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        return [[Completion((9,) * 5, (0.0,) * 5, True) for _ in request.seeds] for request in requests]


def test_what_judges_read_and_write() -> None:
    tokenizer, own = small_tokenizer(), cast("Engine", Brief())
    engine = CountingEngine(own, Arithmetic(weights=10))
    judge = Weights("judge0", tokenizer, 4_096, lambda step: engine, small_model)
    with costs.metered() as meter:
        assert len(answers(judge, ["good?", "good?", "bad?"], 0)) == 3
    read = sum(map(len, render_prompts(tokenizer, ["good?", "bad?"])))  # what is asked twice at once is read once
    assert meter.spent == Cost(sampled_tokens=3 * 5, read_tokens=read, flops=2 * 10 * (3 * 5 + read))


def test_what_reward_models_read() -> None:
    config = small_model().config
    config.num_labels = 1
    with costs.metered() as meter:
        text_scores(Qwen3ForSequenceClassification(config).eval(), [[5, 6, 7, 3], [8, 9, 3]])
    assert (meter.spent.sampled_tokens, meter.spent.read_tokens, meter.spent.trained_tokens) == (0, 4 + 3, 0)


def test_what_evidence_reads_is_counted_once() -> None:
    with costs.metered() as meter:
        reading.entropies(small_model(), [((5, 6, 7), (8, 3)), ((5,), (9, 10, 3))])
    assert (meter.spent.sampled_tokens, meter.spent.read_tokens, meter.spent.trained_tokens) == (0, 5 + 4, 0)
