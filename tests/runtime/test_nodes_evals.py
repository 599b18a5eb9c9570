"""`score`, `pass_rate`, `bits_per_character` on a small model."""

from __future__ import annotations

from pathlib import Path

import pytest
from nodes_world import Pieces, World, counts, summary

from ptc.runtime.artifacts import Artifact, Interrupted, Progress

SHAPE = dict(
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
EVAL = dict(
    n=4, temperature=1.0, top_p=1.0, top_k=0, max_tokens=3, verifier={"name": "exact", "options": {}}, draw=1, seed=1
)
COLUMNS = {"prompt": {"op": "column", "name": "question"}, "answer": {"op": "column", "name": "answer"}}


def prompts(world: World, count: int) -> Artifact:
    source = world.rows(
        question=[f"{number} + 1" for number in range(count)], answer=[str(n + 1) for n in range(count)]
    )
    return world.run("prompts", {"columns": COLUMNS}, rows=source)


def model(world: World, rows: Artifact) -> Artifact:
    return world.run("new_model", SHAPE, tokenizer=world.run("characters", rows=rows))


def test_score_gives_rewards_and_words(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = world.rows(response=["4", " 5 ", "", "6"], answer=["4", "5", "6", None])
    scored = world.records("score", {"verifier": {"name": "exact", "options": {}}}, rows=rows)
    assert [row["reward"] for row in scored] == [1.0, 1.0, 0.0, None]
    assert [row["verdict"] for row in scored] == [
        "pass", "pass", "fail: no answer found", "refused: the row has no answer"
    ]  # fmt: skip


def test_pass_rate_counts_each_prompt(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = prompts(world, 10)
    measured = world.run("pass_rate", EVAL, prompts=asked, model=model(world, asked))
    rows = counts(measured)
    assert len(rows) == 10 and all(row["n"] == 4 for row in rows)
    assert {
        "prompt_id",
        "prompt",
        "answer",
        "correct",
        "parsed",
        "finished",
        "first_response",
        "greedy_response",
    } <= set(rows[0])
    found = summary(measured)
    assert found["prompts"] == 10 and found["n"] == 4
    assert found["pass@1"] == pytest.approx(sum(row["correct"] for row in rows) / 40)
    assert found["pass@1"] <= found["pass@2"] <= found["pass@4"]


def test_greedy_response_is_what_plain_generate_gives(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    world = World(tmp_path)
    asked = prompts(world, 5)
    weights = model(world, asked)
    rows = counts(world.run("pass_rate", EVAL, prompts=asked, model=weights))
    plain, tokenizer = AutoModelForCausalLM.from_pretrained(weights.path), AutoTokenizer.from_pretrained(weights.path)
    for row in rows:
        turn = [{"role": "user", "content": row["prompt"]}]
        ids = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        made = plain.generate(ids, max_new_tokens=3, do_sample=False)
        assert tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True) == row["greedy_response"]


def test_interrupted_eval_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = prompts(world, 300)
    weights = model(world, asked)
    settings = {**EVAL, "n": 1}
    whole = counts(world.run("pass_rate", settings, prompts=asked, model=weights))
    pieces = Pieces(tmp_path / "kept")
    beats = 0

    class Impatient(list[Progress]):
        def append(self, progress: Progress) -> None:
            nonlocal beats
            beats += 1
            if beats == 5:
                raise Interrupted

    world.heartbeats = Impatient()
    with pytest.raises(Interrupted):
        world.resume(pieces, "pass_rate", settings, prompts=asked, model=weights)
    assert pieces.names() == ["chunk-000000"]
    again = world.resume(pieces, "pass_rate", settings, prompts=asked, model=weights)
    assert counts(again) == whole
    assert pieces.written == ["chunk-000000", "chunk-000001"]


def test_another_draw_is_another_sample(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = prompts(world, 20)
    weights = model(world, asked)
    first, again, other = (
        counts(world.run("pass_rate", {**EVAL, "draw": draw, "seed": draw}, prompts=asked, model=weights))
        for draw in (1, 1, 2)
    )
    assert first == again
    assert [row["first_response"] for row in first] != [row["first_response"] for row in other]
    assert [row["greedy_response"] for row in first] == [row["greedy_response"] for row in other]


def test_bits_per_character_of_a_model_that_knows_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = prompts(world, 8)
    answered = world.run("respond", {"response": {"op": "column", "name": "answer"}}, rows=asked)
    measured = world.run("bits_per_character", {"columns": ["response"]}, rows=answered, model=model(world, asked))
    rows, found = counts(measured), summary(measured)
    assert [row["characters"] for row in rows] == [1] * 8
    assert found["bits_per_character"] == pytest.approx(sum(row["bits"] for row in rows) / 8)
    assert 6 < found["bits_per_character"] < 12  # two tokens, a character and the end, of log2(17) = 4.1 bits each
    assert found["dropped"] == 0


def test_bits_of_a_text_without_prompts_and_too_long_ones(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = prompts(world, 8)
    texts = world.rows(text=["1 + 1", "2", "3" * 100])
    found = summary(world.run("bits_per_character", {"columns": ["text"]}, rows=texts, model=model(world, asked)))
    assert found["characters"] == 6 and found["dropped"] == 1


def test_a_verifier_that_reads_nothing_but_the_response_measures_a_pass_rate(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = prompts(world, 3)
    tags = {**EVAL, "verifier": {"name": "format_tags", "options": {"tags": ["think"]}}}
    measured = counts(world.run("pass_rate", tags, prompts=rows, model=model(world, rows)))
    assert [(row["n"], row["correct"]) for row in measured] == [(4, 0)] * 3


def test_every_attempt_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = prompts(world, 10)
    weights = model(world, asked)
    for row in counts(world.run("pass_rate", EVAL, prompts=asked, model=weights)):
        attempts = row["attempts"]
        assert len(attempts) == 4 and all(attempt["counts"] for attempt in attempts)
        assert sum(attempt["score"] == 1 for attempt in attempts) == row["correct"]
        assert sum(attempt["finished"] for attempt in attempts) == row["finished"]
        assert sum(attempt["tokens"] for attempt in attempts) == 4 * row["mean_length"]
        assert attempts[0]["response"] == row["first_response"]
        assert all(attempt["logp"] < 0 and attempt["verdict"] for attempt in attempts)
    best = counts(world.run("pass_rate", {**EVAL, "scaffold": "best_of_n"}, prompts=asked, model=weights))
    for row in best:
        (chosen,) = (attempt for attempt in row["attempts"] if attempt["counts"])
        assert len(row["attempts"]) == 4 and row["n"] == 1
        assert chosen["score"] == row["mean_score"] == max(attempt["score"] for attempt in row["attempts"])
