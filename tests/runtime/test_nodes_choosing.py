"""Steps that choose among rows, and steps that bring sources together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from nodes_world import World
from row_expressions import column, constant, op

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.choosing import COUNTS, counts
from ptc.runtime.expressions import evaluate


def over_group(name: str, *args: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"op": name, "over": ["group"], "args": list(args), **more}


ATTEMPTS = {
    "prompt": ["p", "p", "p", "q", "q", "r"],
    "group": [0, 0, 0, 1, 1, 2],
    "response": ["a", "b", "c", "d", "e", "f"],
    "reward": [0.5, 1.0, 1.0, 0.0, 0.0, None],
}
"""Three prompts: one with different rewards, one with equal ones, one that nobody could judge."""


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (over_group("max", column("reward")), [1.0, 1.0, 1.0, 0.0, 0.0, None]),
        (over_group("min", column("reward")), [0.5, 0.5, 0.5, 0.0, 0.0, None]),
        (over_group("sum", op("mul", column("reward"), constant(2))), [5.0, 5.0, 5.0, 0.0, 0.0, None]),
        (over_group("mean", column("reward")), [2.5 / 3] * 3 + [0.0, 0.0, None]),
        (over_group("count"), [3, 3, 3, 2, 2, 1]),
        (over_group("count", op("eq", column("reward"), constant(1.0))), [2, 2, 2, 0, 0, None]),
        (op("sub", column("reward"), over_group("max", column("reward"))), [-0.5, 0.0, 0.0, 0.0, 0.0, None]),
    ],
)
def test_reductions_over_a_group(expression: dict[str, Any], value: list[Any]) -> None:
    assert evaluate(expression, pa.table(ATTEMPTS)) == value


def test_best_takes_the_earlier_of_equals_and_leaves_out_what_was_not_judged(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = world.rows(**ATTEMPTS)
    assert [row["response"] for row in world.records("best", {"k": 1}, rows=rows)] == ["b", "d"]
    assert [row["response"] for row in world.records("best", {"k": 2}, rows=rows)] == ["b", "c", "d", "e"]


def test_pairs_are_of_groups_whose_rewards_differ(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.records("best_and_worst", {}, rows=world.rows(**ATTEMPTS)) == [
        {"prompt": "p", "chosen": "b", "rejected": "a", "chosen_reward": 1.0, "rejected_reward": 0.5}
    ]
    with pytest.raises(InputWrong, match="in no group do the rewards differ"):
        world.run("best_and_worst", {}, rows=world.rows(prompt=["p"], group=[0], response=["a"], reward=[1.0]))


def test_unique_keeps_the_first_of_each_value(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = world.rows(prompt=["a", "b", "a", "c", "b"], number=[1, 2, 3, 4, 5])
    assert [row["number"] for row in world.records("unique", {"column": "prompt"}, rows=rows)] == [1, 2, 4]
    turns = [[{"role": "user", "content": text}] for text in ("x", "y", "x")]
    listed = world.rows(prompt=turns, number=[1, 2, 3])
    assert [row["number"] for row in world.records("unique", {"column": "prompt"}, rows=listed)] == [1, 2]


def test_without_leaves_out_the_prompts_of_the_other(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows, other = world.rows(prompt=["a", "b", "c"]), world.rows(prompt=["b", "d"])
    assert [row["prompt"] for row in world.records("without", {}, rows=rows, other=other)] == ["a", "c"]
    with pytest.raises(InputWrong, match="none is left"):
        world.run("without", {}, rows=other, other=other)


def test_only_marks_rows_and_leaves_all_of_them(tmp_path: Path) -> None:
    world = World(tmp_path)
    some = {"where": op("gt", column("reward"), constant(0.6))}
    marked = world.run("only", some, rows=world.rows(**ATTEMPTS))
    assert [row[COUNTS] for row in world.records("only", some, rows=marked)] == [False, True, True, False, False, False]
    late = {"where": op("eq", column("response"), constant("c"))}
    twice = world.records("only", late, rows=marked)
    assert [row[COUNTS] for row in twice] == [False, False, True, False, False, False]
    with pytest.raises(InputWrong, match="nothing is left to learn from"):
        world.run(
            "only", {"where": op("eq", column("response"), constant("b"))}, rows=world.run("only", late, rows=marked)
        )


def test_rows_without_a_mark_are_learned_from() -> None:
    assert counts(pa.table({"a": [1, 2]})) == [True, True]
    assert counts(pa.table({COUNTS: [None, False]})) == [True, False]


def test_a_mixture_has_its_shares_and_uses_no_row_twice(tmp_path: Path) -> None:
    world = World(tmp_path)
    many, few = world.rows(text=[f"m{n}" for n in range(100)]), world.rows(text=[f"f{n}" for n in range(15)])
    settings = {"weights": [0.75, 0.25], "seed": 1}
    texts = [row["text"] for row in world.records("mix", settings, **{"0": many, "1": few})]
    assert len(texts) == len(set(texts)) == 60
    assert sum(text.startswith("f") for text in texts) == 15
    assert texts == [row["text"] for row in world.records("mix", settings, **{"0": many, "1": few})]
    other = [row["text"] for row in world.records("mix", {**settings, "seed": 2}, **{"0": many, "1": few})]
    assert other != texts


def test_a_source_of_weight_0_takes_no_part(tmp_path: Path) -> None:
    world = World(tmp_path)
    one, other = world.rows(text=["a", "b"]), world.rows(text=["c"])
    rows = world.records("mix", {"weights": [1.0, 0.0], "seed": 1}, **{"0": one, "1": other})
    assert sorted(row["text"] for row in rows) == ["a", "b"]


def test_joined_rows_ask_about_their_partner_s_attempts(tmp_path: Path) -> None:
    world = World(tmp_path)
    demos = world.rows(prompt=["q", "z", "p"], response=["right q", "right z", "right p"])
    joined = world.run("join", {"on": "prompt"}, rows=demos, partner=world.rows(**ATTEMPTS))
    failed = {"where": op("eq", over_group("max", column("reward"), of="partner"), constant(0.0))}
    rows = world.records("keep", failed, rows=joined)
    assert [row["response"] for row in rows] == ["right q"]
    with pytest.raises(InputWrong, match=r"no row has the `\.prompt` of any of the 6 attempts"):
        world.run("join", {"on": "prompt"}, rows=world.rows(prompt=["y"]), partner=world.rows(**ATTEMPTS))


def test_pairs_of_two_sources_are_of_the_prompts_that_both_have(tmp_path: Path) -> None:
    world = World(tmp_path)
    good = world.rows(prompt=["a", "b", "a", "a"], response=["A1", "B", "A2", "A3"], answer=["1", "2", "1", "1"])
    bad = world.rows(prompt=["a", "c", "a"], response=["x", "y", "z"])
    assert world.records("against", {}, rows=good, other=bad) == [
        {"prompt": "a", "answer": "1", "chosen": "A1", "rejected": "x"},
        {"prompt": "a", "answer": "1", "chosen": "A2", "rejected": "z"},
    ]
    with pytest.raises(InputWrong, match="no prompt in common"):
        world.run("against", {}, rows=good, other=world.rows(prompt=["c"], response=["y"]))


def test_steps_of_a_response_and_a_system_turn(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = world.rows(prompt=["p"], response=["one\n\ntwo\n\n\n\n"])
    split = world.run("split_steps", {"separator": "\n\n"}, rows=rows)
    [row] = world.records("chat", {"system": constant("Be brief.")}, rows=split)
    assert row["steps"] == ["one", "two"]
    assert row["system"] == "Be brief."
    assert world.records("replay", {}, rows=split) == [{key: row[key] for key in ("prompt", "response", "steps")}]
