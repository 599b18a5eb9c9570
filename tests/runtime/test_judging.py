"""Models that judge: reward models, graders, comparisons in both orders, and evals that are told by them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from nodes_world import World, counts, summary
from small_chat import save, small_model, small_tokenizer
from transformers import AutoModelForSequenceClassification, Qwen3ForSequenceClassification

from ptc.runtime.artifacts import Artifact
from ptc.runtime.engines.protocol import Completion, Request, Sampling
from ptc.runtime.judging import Grader, RewardModel, Weights, compare, number_in, text_scores
from ptc.runtime.nodes.evals import chosen
from ptc.runtime.rollouts import Rollout
from ptc.stdlib.verifiers import Graded, Refused

ROWS = pa.table({"prompt": ["1 + 1", "2 + 2", "3 + 3"], "response": ["2", "5", "six"]})


class Speaker:
    """An engine that says to each question what a function of its text says."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self._answer = answer
        self._tokenizer = small_tokenizer()

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        assert sampling.temperature == 0
        said = [self._answer(self._tokenizer.decode(request.prompt_tokens)) for request in requests]
        ids = [self._tokenizer(text)["input_ids"] for text in said]
        return [[Completion(tuple(own), (0.0,) * len(own), True)] for own in ids]


def speaking(answer: Callable[[str], str], context: int = 4_096) -> Weights:
    engine: Any = Speaker(answer)
    return Weights("judge0", small_tokenizer(), context, lambda step: engine, lambda: small_model())  # type: ignore[arg-type,return-value]


def reward_model(seed: int = 0) -> Qwen3ForSequenceClassification:
    torch.manual_seed(seed)
    config = small_model().config
    config.num_labels = 1
    return Qwen3ForSequenceClassification(config).eval()


@pytest.mark.parametrize(
    ("said", "grade"),
    [
        ("Grade: 4", 4.0),
        ("It is 7 times right.\nGrade: 0.5", 0.5),
        ("score: -1.", -1.0),
        ("I think\n3", 3.0),
        ("3 of 5 steps are right", None),
        ("", None),
    ],
)
def test_a_grade_is_read_where_it_stands_and_nowhere_else(said: str, grade: float | None) -> None:
    assert number_in(said) == grade


def test_a_judge_grades_by_its_rubric() -> None:
    def answer(text: str) -> str:
        assert "Is it right?" in text and "from 0 (worst) to 5 (best)" in text
        return "Grade: 5" if "[Response]\n2\n" in text else "Grade: 9" if "[Response]\n5\n" in text else "Well."

    grader = Grader(speaking(answer), {"rubric": "Is it right?", "min": 0, "max": 5})
    assert grader(ROWS, 0) == [
        Graded(5.0), Refused("the judge gave 9, outside of its range"), Refused("the judge gave no grade")
    ]  # fmt: skip


def test_what_does_not_fit_into_the_judge_is_not_judged() -> None:
    grader = Grader(speaking(lambda text: "Grade: 1", context=150), {"rubric": "Is it right?", "min": 0, "max": 1})
    assert grader(ROWS, 0) == [Refused("question and response do not fit into the judge")] * 3


def test_two_responses_are_compared_in_both_orders() -> None:
    def better(text: str) -> bool:
        return text.index("[Response A]\n2") < text.index("[Response B]") if "[Response A]\n2" in text else False

    others = ["3", "4", "6"]
    assert compare(speaking(lambda text: "Better: A"), "Which?", ROWS, others) == [0.5] * 3
    assert (
        compare(speaking(lambda text: "Better: A" if better(text) else "Better: B"), "Which?", ROWS, others)[0] == 1.0
    )
    assert compare(speaking(lambda text: "who knows"), "Which?", ROWS, others) == [None] * 3


def test_a_reward_model_is_read_at_the_last_token_as_transformers_reads_it() -> None:
    model, texts = reward_model(), [[5, 6, 7, 3], [8, 9, 3], [10, 11, 12, 13, 14, 3]]
    for text, score in zip(texts, text_scores(model, texts), strict=True):
        alone = model(input_ids=torch.tensor([text])).logits[0, 0]
        assert score == pytest.approx(float(alone.detach()), abs=1e-5)


def test_a_reward_model_reads_the_whole_conversation() -> None:
    model, tokenizer = reward_model(), small_tokenizer()
    weights = Weights("judge0", tokenizer, 64, lambda step: None, lambda: model)  # type: ignore[arg-type,return-value]
    verdicts = RewardModel(weights)(ROWS, 0)
    turns = [{"role": "user", "content": "1 + 1"}, {"role": "assistant", "content": "2"}]
    ids = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)["input_ids"]
    assert isinstance(verdicts[0], Graded) and verdicts[0].score == pytest.approx(text_scores(model, [ids])[0])
    [long] = RewardModel(weights)(pa.table({"prompt": ["1"], "response": ["2" * 80]}), 0)
    assert isinstance(long, Refused)


# On folders -----------------------------------------------------------------------------------------------------------


def folders(world: World, tmp_path: Path) -> dict[str, Artifact]:
    judge = tmp_path / "judge"
    reward_model().save_pretrained(judge)
    small_tokenizer().save_pretrained(judge)
    models = {"model": save(small_model(seed=1), tmp_path / "m"), "against": save(small_model(seed=2), tmp_path / "a")}
    made = {name: Artifact(name, path, {}) for name, path in {**models, "judge0": judge}.items()}
    prompts = world.rows(prompt=["1", "22", "333"], answer=["1", "2", "3"], prompt_id=["00" * 32, "11" * 32, "22" * 32])
    return {**made, "prompts": prompts}


SAMPLING = {"n": 4, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_tokens": 6, "draw": 1, "seed": 1}
LEARNED = {"scorers": [{"kind": "reward_model", "weight": 2.0, "verifier": {"name": "reward_model", "options": {}}}]}


def test_a_score_node_asks_a_reward_model(tmp_path: Path) -> None:
    world = World(tmp_path)
    judge = folders(world, tmp_path)["judge0"]
    rows = world.rows(prompt=["1", "2"], response=["3", "4"])
    found = world.records("score", LEARNED, rows=rows, judge0=judge)
    model = AutoModelForSequenceClassification.from_pretrained(judge.path)
    weights = Weights("judge0", small_tokenizer(), 64, lambda step: None, lambda: model)  # type: ignore[arg-type,return-value]
    expected = RewardModel(weights)(pa.table({"prompt": ["1", "2"], "response": ["3", "4"]}), 0)
    assert [row["reward"] for row in found] == pytest.approx([2 * one.score for one in expected])  # type: ignore[union-attr]


def test_rewards_of_a_model_and_wins_against_another(tmp_path: Path) -> None:
    world = World(tmp_path)
    inputs = folders(world, tmp_path)
    shared = {name: inputs[name] for name in ("prompts", "model", "judge0")}
    measured = world.run("reward", {**SAMPLING, **LEARNED}, **shared)
    rows, found = counts(measured), summary(measured)
    assert found["reward"] == pytest.approx(sum(row["mean_score"] for row in rows) / 3)
    assert found["reward low"] <= found["reward"] <= found["reward high"] and found["not_judged"] == 0
    won = world.run("win_rate", {**SAMPLING, **LEARNED}, **inputs)
    other = world.run(
        "win_rate", {**SAMPLING, **LEARNED}, **{**inputs, "model": inputs["against"], "against": inputs["model"]}
    )
    assert summary(won)["win_rate"] == pytest.approx(1 - summary(other)["win_rate"])
    for row in counts(won):
        scores = [attempt["score"] for attempt in row["attempts"]]
        assert sum(scores) == row["won"] and len(row["attempts_against"]) == len(scores)
        assert scores == [1 - attempt["score"] for attempt in row["attempts_against"]]
    itself = world.run("win_rate", {**SAMPLING, **LEARNED}, **{**inputs, "against": inputs["model"]})
    assert summary(itself)["win_rate"] == 0.5


def test_claims_and_gates_on_scores(tmp_path: Path) -> None:
    world = World(tmp_path)
    inputs = folders(world, tmp_path)
    shared = {name: inputs[name] for name in ("prompts", "model", "judge0")}
    first = world.run("reward", {**SAMPLING, **LEARNED}, **shared)
    second = world.run("reward", {**SAMPLING, **LEARNED}, **{**shared, "model": inputs["against"]})

    def claimed(role: str, after: Artifact) -> dict[str, Any]:
        before = {"carrier" if role == "consolidates" else "entry": first}
        done = world.run("claim", {"role": role, "k": 4, "tolerance": 0.1}, exit=after, **before)
        document: dict[str, Any] = json.loads((done.path / "verdict.json").read_text())
        return document

    assert claimed("consolidates", first)["verdict"] == "supported"
    assert claimed("reshapes", first)["verdict"] == "refuted"
    change = claimed("reshapes", second)["intervals"]["Δreward"]["value"]
    assert change == pytest.approx(summary(second)["reward"] - summary(first)["reward"])
    settings = {"when": "ensure", "measure": "value", "op": "ge", "limit": -1e9, "text": "ensure reward >= -1e9"}
    verdict = json.loads((world.run("gate", settings, counts=first).path / "verdict.json").read_text())
    assert verdict["numbers"]["value"] == pytest.approx(summary(first)["reward"])


def test_the_divergence_of_a_model_from_itself_is_0(tmp_path: Path) -> None:
    world = World(tmp_path)
    inputs = folders(world, tmp_path)
    rows = world.rows(prompt=["1", "2"], response=["3 4", "5"])
    gate = {"when": "ensure", "measure": "kl", "op": "le", "limit": 50.0, "text": "ensure kl <= 50"}

    def measured(reference: Artifact) -> float:
        done = world.run("gate", gate, rows=rows, model=inputs["model"], reference=reference)
        value: float = json.loads((done.path / "verdict.json").read_text())["numbers"]["value"]
        return value

    assert measured(inputs["model"]) == pytest.approx(0.0, abs=1e-6)
    assert measured(inputs["against"]) > 0.1


def test_a_scaffold_chooses_one_of_the_attempts() -> None:
    def rollout(*responses: str) -> Rollout:
        completions = tuple(Completion((1,), (0.0,), True) for _ in responses)
        return Rollout("1 + 1", (1,), completions, responses)

    rollouts = [rollout("#### 3", "so #### 2", "#### 2"), rollout("1", "2", "3")]
    scores = [0.0, 1.0, 1.0, None, 0.5, 0.5]
    assert chosen(rollouts, scores, None) == [[0, 1, 2], [3, 4, 5]]
    assert chosen(rollouts, scores, "best_of_n") == [[1], [4]]
    assert chosen(rollouts, scores, "majority") == [[1], [3]]
