"""Samples for people: which draws are told, how much of them, and that they are handed on as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ptc.runtime.batches import Draw, Sample
from ptc.runtime.showing import ATTEMPTS, GROUPS, TOKENS, Shown
from ptc.runtime.stateless import Stateless


class Letters:
    """A tokenizer whose tokens are the code points of letters."""

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(map(chr, tokens))


def ids(text: str) -> list[int]:
    return list(map(ord, text))


SAMPLE = Sample(
    {"response": (ids("2+2="), ids("4.")), "response given hint": (ids("hint"), ids("4."))},
    numbers={"reward": 1.0},
    masks={"response": [True, False]},
)


class Flow(Stateless):
    follows = None
    size = 9

    def __init__(self, sample: Sample = SAMPLE) -> None:
        self.drawn = Draw([[sample] * 9] * 9, {"reward": 0.5}, ["2+2="] * 9)

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        return self.drawn

    def at(self, step: int, drawn: Draw) -> Draw:
        return drawn


def shown(flow: Flow, steps: Sequence[int]) -> list[dict[str, Any]]:
    told: list[Mapping[str, Any]] = []
    watched = Shown(flow, "s0", Letters(), told.append)  # type: ignore[arg-type]
    for step in steps:
        assert watched.draw(step, range(9)) is flow.drawn  # as it was
    return [dict(row) for row in told]


def test_what_is_told_of_a_draw() -> None:
    (row,) = shown(Flow(), [0])
    assert (row["event"], row["step"], row["source"], len(row["samples"])) == ("samples", 1, "s0", GROUPS * ATTEMPTS)
    assert row["samples"][0] == {
        "column": "response",
        "prompt": "2+2=",
        "tokens": ["4", "."],
        "mask": [True, False],
        "numbers": {"reward": 1.0},
    }


def test_few_draws_are_told_and_ever_fewer() -> None:
    assert [row["step"] for row in shown(Flow(), range(1000))] == [1, 11, 31, 91, 271, 811]
    assert [row["step"] for row in shown(Flow(), [57, 100, 171])] == [58, 172]  # of a stage that goes on


def test_long_samples_are_cut_and_without_a_mask_all_tokens_bear_loss() -> None:
    (row,) = shown(Flow(Sample({"chosen": (ids("?"), ids("x" * 1000))})), [0])
    assert len(row["samples"][0]["tokens"]) == TOKENS and row["samples"][0]["mask"] == [True] * TOKENS
