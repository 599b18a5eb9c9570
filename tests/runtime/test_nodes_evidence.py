"""Evidence on a checkpoint, against numbers computed from transformers' own logits in NumPy."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nodes_world import World, counts, summary

from ptc.runtime.artifacts import Artifact
from ptc.runtime.intervals import MEAN, RATE, RATE_DIFFERENCE, Interval, interval
from ptc.runtime.statistics import informative_rate

SHAPE: dict[str, Any] = dict(
    family="qwen3",
    hidden=32,
    layers=1,
    heads=2,
    kv_heads=1,
    head_dim=32,
    intermediate=64,
    context=64,
    tied=True,
    rope_theta=10_000.0,
    seed=0,
)
SAMPLING: dict[str, Any] = dict(temperature=0.7, top_p=1.0, top_k=0, max_tokens=4, draw=1, seed=1)
EXACT = {"verifier": {"name": "exact", "options": {}}}
COLUMNS = {"prompt": {"op": "column", "name": "question"}, "answer": {"op": "column", "name": "answer"}}
COUNT = 12
TWO_DIGITS = ("9 + 1", "10 + 1", "11 + 1")


class Measured:
    """A model, another that it is compared with, and what was measured of the first."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        numbers = range(COUNT)
        source = self.world.rows(question=[f"{one} + 1" for one in numbers], answer=[str(one + 1) for one in numbers])
        self.prompts = self.world.run("prompts", {"columns": COLUMNS}, rows=source)
        tokenizer = self.world.run("characters", rows=self.prompts)
        self.model, self.start, self.root = (
            self.world.run("new_model", {**SHAPE, "seed": seed}, tokenizer=tokenizer) for seed in (0, 1, 2)
        )
        self.counts = self.eval(self.prompts)

    def eval(self, prompts: Artifact) -> Artifact:
        return self.world.run("pass_rate", {**SAMPLING, **EXACT, "n": 16}, prompts=prompts, model=self.model)

    def evidence(self, settings: dict[str, Any], **inputs: Artifact) -> Artifact:
        known = dict(prompts=self.prompts, model=self.model, start=self.start, root=self.root, counts=self.counts)
        return self.world.run("evidence", {**SAMPLING, "group": 8, **settings}, **{**known, **inputs})


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return Measured(tmp_path_factory.mktemp("measured"))


@pytest.fixture(scope="module")
def made(measured: Measured) -> Artifact:
    return measured.evidence(EXACT)


def log_softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shifted = logits - logits.max(-1, keepdims=True)
    found: np.ndarray[Any, Any] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


class Reader:
    """A checkpoint as transformers opens it."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model, self.tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)

    def prompt(self, text: str) -> list[int]:
        turn = [{"role": "user", "content": text}]
        ids: list[int] = self.tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
        return ids

    def says(self, prompt: list[int], response: list[int]) -> np.ndarray[Any, Any]:
        """Log-probabilities, one row per token of the response."""
        import torch

        with torch.no_grad():
            logits = self.model(torch.tensor([prompt + response])).logits[0].double().numpy()
        return log_softmax(logits[len(prompt) - 1 : -1])


def found(document: dict[str, Any], name: str) -> Interval:
    figure = document["evidence"][name]
    return Interval(figure["value"], figure["low"], figure["high"], figure["level"])


def close(one: Interval, other: Interval) -> None:
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-5)


def test_entropy_and_divergences_are_those_of_the_logits(measured: Measured, made: Artifact) -> None:
    rows, document = counts(made), summary(made)
    readers = {
        name: Reader(artifact.path)
        for name, artifact in (("own", measured.model), ("start", measured.start), ("root", measured.root))
    }
    inputs = {"prompts": measured.prompts, "model": measured.model}
    drawn = {row["prompt_id"]: row for row in measured.world.records("sample", {**SAMPLING, "n": 1}, **inputs)}
    first = {row["prompt_id"]: row["attempts"][0] for row in counts(measured.counts)}
    expected: dict[str, list[float]] = {"entropy": [], "kl_from_start": [], "kl_from_root": []}
    for row in rows:
        assert row["response"] == first[row["prompt_id"]]["response"]  # the first attempt of the eval itself
        prompt, response = readers["own"].prompt(row["prompt"]), drawn[row["prompt_id"]]["response_tokens"]
        assert len(response) == row["tokens"] == first[row["prompt_id"]]["tokens"]
        own = readers["own"].says(prompt, response)
        expected["entropy"].append(float(-(np.exp(own) * own).sum(-1).mean()))
        for name in ("start", "root"):
            other = readers[name].says(prompt, response)
            expected[f"kl_from_{name}"].append(float((np.exp(own) * (own - other)).sum(-1).mean()))
    for name, values in expected.items():
        assert [row[name] for row in rows] == pytest.approx(values, abs=1e-5)
        close(found(document, name), interval(MEAN, np.array(values)))
        assert document["evidence"][name]["prompts"] == COUNT
    assert min(expected["kl_from_start"]) > 0 and expected["kl_from_start"] != expected["kl_from_root"]


def test_gold_answers_are_read_token_by_token(measured: Measured, made: Artifact) -> None:
    rows, document, reader = counts(made), summary(made), Reader(measured.model.path)
    answers = {row["prompt_id"]: row["answer"] for row in counts(measured.counts)}
    costs, gaps = [], []
    for row in rows:
        prompt = reader.prompt(row["prompt"])
        gold = reader.tokenizer(answers[row["prompt_id"]], add_special_tokens=False)["input_ids"]
        gold = [*gold, reader.tokenizer.eos_token_id]
        said = reader.says(prompt, gold)
        of_gold = said[np.arange(len(gold)), gold]
        forced = float((said.argmax(-1) == gold).mean())
        written: list[int] = []
        while len(written) < len(gold) and reader.tokenizer.eos_token_id not in written:
            written.append(int(reader.says(prompt, [*written, 0])[-1].argmax()))
        alone = sum(one == other for one, other in zip(gold, written, strict=False)) / len(gold)
        assert row["reference_logp"] == pytest.approx(float(of_gold.mean()), abs=1e-5)
        assert row["bottleneck_logp"] == pytest.approx(float(of_gold.min()), abs=1e-5)
        assert row["bottleneck_place"] == int(of_gold.argmin())
        assert row["bottleneck_token"] == reader.tokenizer.decode([gold[int(of_gold.argmin())]])
        assert (row["teacher_forced"], row["free_running"]) == pytest.approx((forced, alone))
        costs.append(float(of_gold.mean()))
        gaps.append((alone, forced))
    close(found(document, "reference_logp"), interval(MEAN, np.array(costs)))
    close(found(document, "exposure_gap"), interval(RATE_DIFFERENCE, *np.array(gaps).T))


def test_answers_and_groups_are_those_of_the_eval(measured: Measured, made: Artifact) -> None:
    rows, document = counts(made), summary(made)
    table = {row["prompt_id"]: row for row in counts(measured.counts)}
    for row in rows:
        answers = Counter(attempt["response"].strip() for attempt in table[row["prompt_id"]]["attempts"])
        shares = [count / 16 for count in answers.values()]
        assert row["answer_entropy"] == pytest.approx(-sum(share * math.log(share) for share in shares))
        assert (row["answers"], row["attempts"]) == (len(answers), 16)
    n, right = (np.array([row[name] for row in table.values()]) for name in ("n", "correct"))
    close(found(document, "informative_rate"), interval(RATE, informative_rate(n, right, 8)))


def test_what_is_compared_with_itself_has_not_moved(measured: Measured) -> None:
    document = summary(measured.evidence(EXACT, start=measured.model, root=measured.model))
    assert (found(document, "kl_from_start").value, found(document, "kl_from_root").high) == (0.0, 0.0)
    twice = summary(measured.evidence(EXACT, root=measured.start))
    assert found(twice, "kl_from_root") == found(twice, "kl_from_start")


def test_what_cannot_be_said_has_its_reason(measured: Measured) -> None:
    other = measured.world.rows(question=["äöü"], answer=["1"])
    tokenizer = measured.world.run("characters", rows=measured.world.run("prompts", {"columns": COLUMNS}, rows=other))
    stranger = measured.world.run("new_model", SHAPE, tokenizer=tokenizer)
    document = summary(measured.evidence({"group": 32}, root=stranger))["evidence"]
    assert document["kl_from_root"] == {"value": None, "why": "it began with another tokenizer"}
    assert document["informative_rate"] == {"value": None, "why": "no prompt has 32 judged attempts"}
    assert document["reference_logp"]["value"] is None and "a model is its scorer" in document["exposure_gap"]["why"]
    tagged = summary(measured.evidence({"verifier": {"name": "format_tags", "options": {"tags": ["think"]}}}))[
        "evidence"
    ]
    assert "takes no bare `.answer`" in tagged["reference_logp"]["why"]
    overlong = {"name": "overlong", "options": {"limit": 3, "buffer": 1}}  # which reads the tokens of a response
    both = [{"kind": "verifier", "weight": 1, "verifier": each} for each in (EXACT["verifier"], overlong)]
    short = counts(measured.evidence({"scorers": both}))
    assert [row["reference_logp"] is None for row in short] == [row["prompt"] in TWO_DIGITS for row in short]
    unasked = measured.world.run(
        "prompts", {"columns": {"prompt": COLUMNS["prompt"]}}, rows=measured.world.rows(question=["1 + 1"])
    )
    bare = summary(measured.evidence(EXACT, prompts=unasked))["evidence"]
    assert "no column `.answer`" in bare["reference_logp"]["why"]
