"""The distance of models with different tokenizers: its value, its identity, its pieces, and runs of whole programs."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import loss_expressions as e
import numpy as np
import pyarrow as pa
import pytest
import torch
from loss_cases import assert_same, gradient_of, tiny_model
from objective_batches import translated
from small_tokenizers import chatml, llama
from test_forward import Largest
from transformers import PreTrainedModel, Qwen3ForCausalLM

from ptc import cli
from ptc.runtime.batches import Batch, collate
from ptc.runtime.forward import answers
from ptc.runtime.loss import Loss
from ptc.runtime.losses import vocabulary
from ptc.runtime.losses.needs import Needs
from ptc.runtime.rendering.meeting import Reader
from ptc.runtime.rendering.rows import Rendering
from ptc.runtime.samples import tokenised

NAME = "response by m1"


def transport() -> dict[str, Any]:
    sides = [e.logp_all("m0"), {**e.logp_all("m1"), "tokenizer": "m1"}]
    return {"op": "transport", "tokens": "response", "args": sides, "axes": e.TOKENS}


def of_size(seed: int, size: int) -> Qwen3ForCausalLM:
    config = copy.deepcopy(tiny_model(seed).config)
    config.vocab_size = size
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(config).eval()


def evaluated(
    batch: Batch, student: PreTrainedModel, teacher: PreTrainedModel
) -> tuple[float, dict[str, torch.Tensor]]:
    loss, models = Loss([(1.0, e.per_sample(transport()))]), {"m0": student, "m1": teacher}

    def forward(model: str, columns: Sequence[str], own: Batch) -> Any:
        return answers(models[model], [own.sequences[column] for column in columns])

    value = loss.whole(loss.prepare(batch), forward).loss
    return float(value.detach()), gradient_of(value, student)


def test_it_is_the_distance_of_the_sorted_probabilities() -> None:
    one, other = np.array([0.1, 0.6, 0.3]), np.array([0.05, 0.5, 0.05, 0.25, 0.15])
    found = vocabulary.transport(*(torch.tensor(each).log().unsqueeze(0) for each in (one, other)))
    assert found.tolist() == pytest.approx([0.1 + 0.05 + 0.05 + 0.05 + 0.05])
    assert vocabulary.transport(*(torch.tensor(each).log() for each in (one[[2, 0, 1]], one))).item() == 0


def test_pieces_are_the_whole_and_all_logits_are_never_there_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = of_size(1, 3000), of_size(2, 4000).requires_grad_(False)
    batch = collate([group for seed in range(5) for group in translated(seed)])
    value, gradient = evaluated(batch, student, teacher)
    monkeypatch.setattr(vocabulary, "PIECE", 2 * 7000)
    with Largest() as largest:
        again, same = evaluated(batch, student, teacher)
    assert again == pytest.approx(value, rel=1e-5)
    assert_same(same, gradient)
    met = len(batch.sequences[NAME].tokens)
    embedding = teacher.get_input_embeddings().weight.numel()
    assert largest.numbers <= embedding < met * 4000 / 2


def test_a_text_in_the_tokens_of_two_tokenizers() -> None:
    """From rows, through both renderings, against plain transformers: a row at a time, in float64."""
    tokenizer, other = chatml(), llama()
    student, teacher = of_size(1, len(tokenizer)).double(), of_size(2, len(other)).double().requires_grad_(False)
    rows = [
        {"prompt": "What is 2 + 2?", "response": "It is 4."},
        {"prompt": "What?", "response": "The capital of France is Paris. é漢"},
        {"prompt": "And?", "response": ""},
    ]
    needs = Needs(texts=("response",), translated=(("response", "m1"),))
    samples, _ = tokenised(pa.Table.from_pylist(rows), needs, tokenizer, Rendering(), {"m1": Reader(other)})
    value, _ = evaluated(collate(samples), student, teacher)
    expected = []
    for row, [sample] in zip(rows, samples, strict=True):
        own, theirs = ([*sample.sequences[name][0], *sample.sequences[name][1]] for name in ("response", NAME))
        whole = other.apply_chat_template(
            [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}],
            return_dict=False,
        )
        assert other.decode(whole).startswith(other.decode(theirs))
        with torch.no_grad():
            mine, its = (
                model(torch.tensor([ids])).logits[0].softmax(-1) for model, ids in ((student, own), (teacher, theirs))
            )
        start, count = len(sample.sequences["response"][0]), len(sample.sequences["response"][1])
        places = [
            place
            for place, bears in enumerate(sample.masks.get(NAME, [True] * len(sample.sequences[NAME][1])))
            if bears
        ]
        apart = 0.0
        for here, there in zip(sample.met[NAME], places, strict=True):
            first = sorted(mine[start + here - 1].tolist(), reverse=True)
            second = sorted(its[len(sample.sequences[NAME][0]) + there - 1].tolist(), reverse=True)
            width = max(len(first), len(second))
            apart += sum(
                abs(a - b)
                for a, b in zip(*([*each, *[0.0] * (width - len(each))] for each in (first, second)), strict=True)
            )
        expected.append(apart / count)
    assert value == pytest.approx(sum(expected) / len(expected), rel=1e-9)


def test_a_teacher_that_is_the_student_is_at_no_distance() -> None:
    tokenizer = chatml()
    student = of_size(1, len(tokenizer))
    teacher = copy.deepcopy(student).requires_grad_(False)
    needs = Needs(texts=("response",), translated=(("response", "m1"),))
    rows = pa.Table.from_pylist([{"prompt": "What?", "response": f"It is {number}."} for number in range(5)])
    for reader in (Reader(tokenizer), Reader(chatml())):
        samples, _ = tokenised(rows, needs, tokenizer, Rendering(), {"m1": reader})
        value, gradient = evaluated(collate(samples), student, teacher)
        assert value == pytest.approx(0, abs=1e-5)
        assert max(float(each.abs().max()) for each in gradient.values()) < 1e-4


PROGRAM = """edition 2026
from std.objectives import uld
source tasks = gym("chain_sum", size = 24, seed = 1) |> prompts(.question, answer = .answer)
source demos = tasks |> respond(.answer)
model base  = new.model("qwen3", hidden = 32, layers = 1, context = 256, tokenizer = characters(tasks))
model other = new.model("qwen3", hidden = 48, layers = 2, context = 256, tokenizer = bpe(tasks, vocabulary = 300))
objective near(demos: Trajectories{{prompt, response}}, student: Trained, start: Anchor) {{
  let apart = transport(student, start, .response) - logp(student, .response)
  loss = mean(mean(apart, over = token), over = sample)
}}
stage taught {{
  train student  = lora(base, rank = 2)
  freeze teacher = other
  freeze start   = base
  minimize near(demos, student, start) + 1.5 * uld(demos, student, teacher)
  optimizer = adamw(lr = 1e-2)
  batch  = 6 samples
  budget = 3 steps
}}
stage tried {{
  train student  = taught
  freeze teacher = other
  source attempts = tasks |> sample(student, n = 2, max_tokens = 6)
  minimize uld(attempts, student, teacher)
  optimizer = adamw(lr = 1e-2)
  batch   = 2 prompts
  rollout = 4 prompts
  budget  = 3 steps
}}
export {exported} to "out"
"""


def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, profile: str, exported: str, *flags: str
) -> list[dict[str, Any]]:
    """The steps of the last stage."""
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    Path("program.pt").write_text(PROGRAM.format(exported=exported))
    Path("small.toml").write_text(f'device = "cpu"\nthreads = 1\n{profile}')
    assert cli.main(["run", *flags, "program.pt", "--profile", "small.toml"]) == 0
    [metrics] = (folder / ".ptc").rglob("metrics.jsonl")
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [row for row in rows if "grad_norm" in row]


@pytest.mark.slow
def test_a_run_of_fixed_rows_with_an_adapter_and_of_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = run(tmp_path, monkeypatch, "micro_batch = 2\n", "tried")
    assert len(steps) == 6
    assert all(row["grad_norm"] > 0 and 0 < row["loss"] < 10 for row in steps)


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = run(tmp_path / "one", monkeypatch, "", "taught")
    both = run(tmp_path / "two", monkeypatch, "devices = 2\n", "taught")
    for one, two in zip(alone, both, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)


@pytest.mark.slow
def test_a_smoke_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(run(tmp_path, monkeypatch, "", "tried", "--smoke")) == 4
