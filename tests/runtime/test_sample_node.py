"""The `sample` node: rows in order, tokens as the engine made them, and going on after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nodes_world import Pieces, World
from small_chat import save, small_model, small_tokenizer

from ptc.runtime.artifacts import Artifact, Interrupted, Progress
from ptc.runtime.engines.transformers import TransformersEngine
from ptc.runtime.nodes import sample as module
from ptc.runtime.render import render_prompt
from ptc.runtime.rollouts import sample_rows, sampling_of, seeds_for
from ptc.runtime.row_steps import prompt_id
from ptc.runtime.tables import read_rows

SETTINGS = {"n": 3, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_tokens": 5, "seed": 11}


def inputs(world: World, count: int) -> dict[str, Artifact]:
    prompts = [f"{index}+{index}=" for index in range(count)]
    folder = save(small_model(), world.root / "model")
    return {
        "prompts": world.rows(prompt=prompts, prompt_id=[prompt_id(prompt) for prompt in prompts], answer=prompts),
        "model": Artifact("model", folder, {}),
    }


def rows_of(artifact: Artifact) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_rows(artifact).to_pylist()
    return rows


def test_rows_are_the_attempts_in_order(tmp_path: Path) -> None:
    world = World(tmp_path)
    given = inputs(world, 5)
    rows = rows_of(world.run("sample", SETTINGS, **given))
    tokenizer = small_tokenizer()
    assert [(row["group"], row["attempt"]) for row in rows] == [(group, k) for group in range(5) for k in range(3)]
    engine = TransformersEngine(small_model(), [3], shared=True)
    for row in rows:
        assert row["prompt"] == row["answer"] == f"{row['group']}+{row['group']}="
        assert row["prompt_tokens"] == render_prompt(tokenizer, row["prompt"])
        assert row["response"] == tokenizer.decode(row["response_tokens"], skip_special_tokens=True)
        assert row["finished"] == (row["response_tokens"][-1] == 3)
        forced = engine.logprobs([(row["prompt_tokens"], row["response_tokens"])])[0]
        assert row["logprobs"] == pytest.approx(forced, abs=1e-5)
    assert world.heartbeats[-1] == Progress(5, 5, "prompts", world.heartbeats[-1].metrics)
    assert world.heartbeats[-1].metrics.keys() == {"completions/mean_length", "completions/clipped_ratio"}


def test_a_live_flow_and_a_node_sample_alike(tmp_path: Path) -> None:
    world = World(tmp_path)
    given = inputs(world, 5)
    engine = TransformersEngine(small_model(), [3], shared=True)
    live = sample_rows(engine, small_tokenizer(), read_rows(given["prompts"]), sampling_of(SETTINGS), 3, 11)
    assert live.equals(read_rows(world.run("sample", SETTINGS, **given)))


class Killed(Pieces):
    """Dies when the second piece is about to be sealed."""

    def write(self, name: str, fill: Any) -> None:
        if self.names():
            raise Interrupted
        super().write(name, fill)


def test_a_killed_node_goes_on_with_the_first_missing_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    world = World(tmp_path)
    given = inputs(world, 10)
    whole = rows_of(world.run("sample", SETTINGS, **given))
    with pytest.raises(Interrupted):
        world.resume(Killed(tmp_path / "pieces"), "sample", SETTINGS, **given)
    rest = Pieces(tmp_path / "pieces")
    assert rest.names() == ["chunk-000000"]
    assert rows_of(world.resume(rest, "sample", SETTINGS, **given)) == whole
    assert rest.written == ["chunk-000001", "chunk-000002"]


def test_the_fake_engine_serves_the_node(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.profile = world.profile.model_copy(update={"engine": "fake"})
    given = inputs(world, 5)
    rows = rows_of(world.run("sample", SETTINGS, **given))
    assert len(rows) == 15
    assert rows == rows_of(world.run("sample", SETTINGS, **given))


def test_seeds_depend_on_prompt_attempt_and_step_alone() -> None:
    seeds = seeds_for(["a", "b", "a"], 2, seed=5)
    assert seeds_for(["b"], 2, seed=5) == seeds[1:2]
    assert seeds_for(["a"], 4, seed=5)[0] == seeds[0] + seeds[2]
    assert len({seed for own in seeds for seed in own}) == 6
    assert seeds_for(["a"], 2, seed=5, step=1) != seeds[:1]
    assert seeds_for(["a"], 2, seed=6) != seeds[:1]
