"""Several training processes: as one in what is learned, and gone with the run that started them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from test_train_node import PROFILE, World, live
from training_cases import ADAMW, Stage, settings

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import Interrupted, InvariantBroken
from ptc.runtime.ranks import Ranks
from ptc.runtime.row_steps import prompt_id
from ptc.runtime.tables import write_rows

TWO = PROFILE.model_copy(update={"devices": 2, "checkpoint_every": 1})
ONE = PROFILE.model_copy(update={"checkpoint_every": 1})
PLAIN = {**ADAMW, "clip_norm": None, "warmup": 0.0}


def test_shares_cover_the_batch_in_order_and_weigh_about_the_same() -> None:
    widths = [1, 1, 2, 3, 5, 8, 13, 21, 34]
    shares = [Ranks(index, 3).share(widths) for index in range(3)]
    assert [start for start, _ in shares] == [0, *[stop for _, stop in shares[:-1]]]
    assert shares[-1][1] == len(widths)
    assert max(sum(widths[start:stop]) for start, stop in shares) <= sum(widths) / 3 + max(widths) / 2
    assert [Ranks(index, 4).share([5]) for index in range(4)].count((0, 1)) == 1
    assert Ranks(0, 1).share(widths) == (0, len(widths))


def gradient(stage: Stage) -> torch.Tensor:
    """That of the first step, from AdamW's first moment."""
    folder = stage.partial.read("step-00000001")
    moments = load_file(folder / "m0.optimizer.safetensors")
    return torch.cat([moments[name].flatten() for name in sorted(moments) if name.endswith("exp_avg")]) / 0.1


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def uneven(world: World) -> None:
    """Rows of unlike lengths, with attempts that were judged."""
    rows = [(f"{number}+1", "1" * (1 + number * 7 % 23), float(number % 3)) for number in range(12)]
    prompts = [prompt for prompt, _, _ in rows]
    table = pa.table(
        {
            "prompt": [prompts[number // 4 * 4] for number in range(12)],
            "prompt_id": [prompt_id(prompts[number // 4 * 4]) for number in range(12)],
            "group": [number // 4 for number in range(12)],
            "response": [response for _, response, _ in rows],
            "chosen": [response for _, response, _ in rows],
            "rejected": [response[::-1] + "2" for _, response, _ in rows],
            "reward": [reward for _, _, reward in rows],
        }
    )
    write_rows(table, world.folder / "rows")


def advantage_weighted() -> dict[str, Json]:
    """GRPO's loss at a ratio of one: advantages within groups, the mean over tokens and samples."""
    ratio = expressions.apply(
        "exp", expressions.apply("sub", expressions.logp("m0"), expressions.apply("stop", expressions.logp("m0")))
    )
    clipped = expressions.apply("clamp", ratio, expressions.constant(0.8), expressions.constant(1.2))
    gain = expressions.apply(
        "min",
        expressions.apply("mul", ratio, expressions.advantage()),
        expressions.apply("mul", clipped, expressions.advantage()),
    )
    return expressions.per_sample(expressions.apply("neg", gain))


@pytest.mark.slow
@pytest.mark.parametrize("objective", [expressions.sft(), expressions.dpo(), advantage_weighted()])
def test_two_processes_have_the_gradient_of_one(objective: dict[str, Any], world: World) -> None:
    uneven(world)
    document = settings(objective, count=12, budget=2)
    document["batch"]["s0"] = {"count": 3, "unit": "prompts"}
    document["optimizer"] = {"m0": PLAIN}
    one, two = world.train(document, "one", profile=ONE), world.train(document, "two", profile=TWO)
    difference = gradient(two) - gradient(one)
    assert float(difference.norm() / gradient(one).norm()) < 1e-5
    assert float(gradient(one).norm()) > 1e-3
    assert two.metric("loss") == pytest.approx(one.metric("loss"), rel=1e-5, abs=1e-7)
    for name in ("num_tokens", "mean_token_accuracy", "entropy", "grad_norm"):
        assert two.metric(name) == pytest.approx(one.metric(name), rel=1e-4)


LENGTH = {"op": "score", "verifier": {"name": "overlong", "options": {"limit": 40, "buffer": 40}}}
"""A reward that differs between attempts of a model that knows nothing."""


@pytest.mark.slow
def test_grpo_in_two_processes_learns_what_it_learns_in_one_and_resumes_bit_for_bit(world: World) -> None:
    document = live(expressions.grpo(), LENGTH, budget=2)
    document["flows"]["s0"][0] |= {"n": 8, "max_tokens": 40}
    document["optimizer"] = {"m0": PLAIN}
    one, two = world.train(document, "one", profile=ONE), world.train(document, "two", profile=TWO)
    for name in ("completions/mean_length", "reward", "num_tokens"):
        assert two.metric(name) == one.metric(name)
    assert float((gradient(two) - gradient(one)).norm() / gradient(one).norm()) < 1e-5
    assert two.metric("loss") == pytest.approx(one.metric("loss"), abs=1e-5)
    for name in ("low_min", "high_max", "region_mean"):
        assert two.metric(f"clip_ratio/{name}") == pytest.approx(one.metric(f"clip_ratio/{name}"), abs=1e-3)
    stage = Stage.at(world.folder / "cut-partial", interrupt_after=1)
    with pytest.raises(Interrupted):
        world.train(document, "cut", stage, profile=TWO)
    stage.interrupt_after = None
    (world.folder / "cut").rmdir()
    world.train(document, "cut", stage, profile=TWO)
    assert {"event": "resumed", "step": 1, "level": "bitwise"} in stage.rows
    whole, again = (load_file(world.folder / name / "model.safetensors") for name in ("two", "cut"))
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


@pytest.mark.slow
def test_a_gradient_that_is_not_finite_is_refused_by_all(world: World) -> None:
    zero = expressions.apply("sub", expressions.logp("m0"), expressions.logp("m0"))
    document = settings(expressions.per_sample(expressions.apply("sqrt", zero)), models=["m0"])
    with pytest.raises(InvariantBroken, match=r"gradient's norm is (nan|inf) at step 1, weights untouched"):
        world.train(document, "out", profile=TWO)
