"""Hints and prefixes: what a model is shown while it samples, and what of it the loss sees."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from nodes_world import World
from small_chat import save, small_model, small_tokenizer

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import Artifact
from ptc.runtime.engines.protocol import Request
from ptc.runtime.engines.transformers import TransformersEngine
from ptc.runtime.guidance import share_at
from ptc.runtime.render import render_prompts
from ptc.runtime.rendering.rows import Rendering
from ptc.runtime.rendering.tables import rendered_rows
from ptc.runtime.rollouts import greedy_of, sampling_of
from ptc.runtime.tables import read_rows

SAMPLE: dict[str, Json] = {"n": 2, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_tokens": 5, "seed": 3}
TEXT = {"op": "column", "name": "answer"}


def sampled(tmp_path: Path, kind: str, settings: dict[str, Json], greedy: bool = False) -> pa.Table:
    world = World(tmp_path)
    rows = world.rows(prompt=["1 + 1", "2 + 2"], answer=["two", None])
    guided = world.run(kind, {"text": TEXT, **settings}, rows=rows)
    model = Artifact("model", save(small_model(), tmp_path / "model"), {})
    return read_rows(
        world.run("sample", {**SAMPLE, "temperature": 0.0 if greedy else 1.0}, prompts=guided, model=model)
    )


def tokens(prompt: str, then: str = "") -> list[int]:
    tokenizer = small_tokenizer()
    return [*render_prompts(tokenizer, [prompt])[0], *tokenizer(then, add_special_tokens=False)["input_ids"]]


def continued(ids: list[int]) -> tuple[int, ...]:
    """The likeliest completion."""
    engine = TransformersEngine(small_model(), [3], shared=True)
    return engine.generate([Request(ids, [0])], greedy_of(sampling_of(SAMPLE)))[0][0].tokens


@pytest.mark.parametrize(("train", "learned"), [("keep", "1 + 1\n\ntwo"), ("drop", "1 + 1")])
def test_a_hint_is_shown_and_learned_from_or_not(tmp_path: Path, train: str, learned: str) -> None:
    rows = sampled(tmp_path, "hint", {"train": train}, greedy=True)
    assert rows.column("prompt").to_pylist() == ["1 + 1", "1 + 1", "2 + 2", "2 + 2"]
    assert rows.column("prompt_tokens").to_pylist() == [tokens(learned)] * 2 + [tokens("2 + 2")] * 2
    first, _, third, _ = rows.column("response_tokens").to_pylist()
    assert tuple(first) == continued(tokens("1 + 1\n\ntwo")) and tuple(third) == continued(tokens("2 + 2"))
    own = rendered_rows(rows, ["response"], small_tokenizer(), Rendering())
    read, written = (rows.column(name).to_pylist() for name in ("prompt_tokens", "response_tokens"))
    pairs = zip(read, written, strict=True)
    assert [list(one.parts[0]["response"].tokens) for one in own] == [[*before, *ids] for before, ids in pairs]


@pytest.mark.parametrize(("share", "begun"), [(1.0, "two"), (0.7, "tw"), (0.0, "")])
def test_a_beginning_that_bears_no_loss_is_context(tmp_path: Path, share: float, begun: str) -> None:
    rows = sampled(tmp_path, "prefix", {"share": share, "train": "drop"}, greedy=True)
    assert rows.column("prompt_tokens").to_pylist()[0] == tokens("1 + 1", begun)
    assert tuple(rows.column("response_tokens").to_pylist()[0]) == continued(tokens("1 + 1", begun))
    assert all(text.startswith(begun) for text in rows.column("response").to_pylist()[:2])
    [one, *_] = rendered_rows(rows, ["response"], small_tokenizer(), Rendering())
    assert list(one.parts[0]["response"].prompt) == tokens("1 + 1", begun)


def test_a_beginning_that_bears_loss_is_part_of_the_response(tmp_path: Path) -> None:
    rows = sampled(tmp_path, "prefix", {"share": 1.0, "train": "keep"})
    read, written = (rows.column(name).to_pylist()[0] for name in ("prompt_tokens", "response_tokens"))
    assert read == tokens("1 + 1") and written[:3] == tokens("", "two")[len(tokens("")) :]
    [forced] = TransformersEngine(small_model(), [3], shared=True).logprobs([(read, written)])
    assert rows.column("logprobs").to_pylist()[0] == pytest.approx(forced, abs=1e-4)


def test_a_share_is_annealed_with_the_steps() -> None:
    share = {"anneal": [1.0, 0.2], "over": 4}
    assert [share_at(share, step) for step in (0, 1, 2, 4, 9)] == pytest.approx([1.0, 0.8, 0.6, 0.2, 0.2])
    assert share_at(0.5, 7) == 0.5
