"""The two nodes of a diagnosis, on a small model and on verifiers that are known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from nodes_world import Pieces, World, counts, summary

from ptc.runtime.artifacts import Artifact, InputWrong

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
EXACT = {"verifier": {"name": "exact", "options": {}}, "references": "answer"}
PROBE = {**EXACT, **dict(temperature=1.0, top_p=1.0, top_k=0, max_tokens=4, n=4, seed=1, shares=[0.0, 0.5, 1.0])}
COLUMNS = {"prompt": {"op": "column", "name": "question"}, "answer": {"op": "column", "name": "answer"}}


def prompts(world: World, **more: list[Any]) -> Artifact:
    answers = ["1", "22", "333", "4444"]
    source = world.rows(question=[f"{answer}?" for answer in answers], answer=answers, **more)
    columns = {**COLUMNS, **{name: {"op": "column", "name": name} for name in more}}
    return world.run("prompts", {"columns": columns}, rows=source)


def model(world: World, rows: Artifact) -> Artifact:
    return world.run("new_model", SHAPE, tokenizer=world.run("characters", rows=rows))


def test_a_verifier_that_reads_the_references_is_informed(tmp_path: Path) -> None:
    world = World(tmp_path)
    found = summary(world.run("informedness", EXACT, prompts=prompts(world)))
    assert (found["true_positive_rate"], found["false_positive_rate"], found["informedness"]) == (1.0, 0.0, 1.0)


def test_one_that_wants_another_form_is_not_and_is_not_refused_either(tmp_path: Path) -> None:
    world = World(tmp_path)
    tags = {"verifier": {"name": "format_tags", "options": {"tags": ["answer"]}}, "references": "answer"}
    tried = world.run("informedness", tags, prompts=prompts(world))
    assert summary(tried)["informedness"] <= 0
    assert {row["reference_verdict"] for row in counts(tried)} == {"fail: no answer found"}


def test_references_of_another_column_or_file_are_judged_as_they_stand(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = prompts(world, solution=["so 1", "so 22", "so 333", "so 4444"])
    assert summary(world.run("informedness", {**EXACT, "references": "solution"}, prompts=asked))["informedness"] <= 0
    beside = world.rows(prompt=["1?", "333?"], solution=["1", "333"])
    tried = world.run("informedness", {**EXACT, "references": None}, prompts=asked, references=beside)
    assert [row["reference"] for row in counts(tried)] == ["1", "333"]
    with pytest.raises(InputWrong, match="`prompt` and one of"):
        world.run("informedness", EXACT, prompts=asked, references=world.rows(question=["1?"], solution=["1"]))


def test_all_of_a_reference_given_is_right_and_likelihoods_are_those_of_its_tokens(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = prompts(world)
    own = model(world, asked)
    probed = world.run("references", PROBE, prompts=asked, model=own)
    rows = counts(probed)
    for row in rows:
        assert len(row["logps"]) == len(row["tokens"]) == len(row["reference"]) + 1
        assert all(logp < 0 for logp in row["logps"])
        assert 0 <= row["free_running"] <= 1
        assert [point["share"] for point in row["prefix"]] == [0.0, 0.5, 1.0]
    bits = counts(world.run("bits_per_character", {"columns": ["response"]}, model=own, rows=_answered(world)))
    costs = [-math.fsum(row["logps"]) / math.log(2) for row in rows]
    assert costs == pytest.approx([row["bits"] for row in bits], rel=1e-4)


def test_it_goes_on_from_its_pieces(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = prompts(world)
    own = model(world, asked)
    pieces = Pieces(tmp_path / "kept")
    first = world.resume(pieces, "references", PROBE, prompts=asked, model=own)
    again = world.resume(pieces, "references", PROBE, prompts=asked, model=own)
    assert json.dumps(counts(first)) == json.dumps(counts(again))
    assert len(pieces.written) == 1


def _answered(world: World) -> Artifact:
    answers = ["1", "22", "333", "4444"]
    return world.rows(prompt=[f"{answer}?" for answer in answers], response=answers)
