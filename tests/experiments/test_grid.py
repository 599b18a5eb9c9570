"""What `--set NAME=V1,V2,…` means, and which seeds there are."""

from __future__ import annotations

import pytest

from ptc.experiments.grid import grid, seeds, values
from ptc.runtime.artifacts import InputWrong


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1e-4,3e-4", ["1e-4", "3e-4"]),
        ("2 epochs, 100 steps", ["2 epochs", "100 steps"]),
        ("[0.9, 0.95],[0.9, 0.98]", ["[0.9, 0.95]", "[0.9, 0.98]"]),
        ("adamw(lr = 1e-3, warmup = 3%)", ["adamw(lr = 1e-3, warmup = 3%)"]),
        ('"a, b","c"', ['"a, b"', '"c"']),
    ],
)
def test_commas_inside_brackets_and_quotes_belong_to_a_value(text: str, found: list[str]) -> None:
    assert values(text) == found


def test_every_combination() -> None:
    found = grid({"lr": "1,2", "n": "4,8,16"}, paired=False)
    assert [(one["lr"], one["n"]) for one in found] == [(a, b) for a in "12" for b in ("4", "8", "16")]


def test_pairs() -> None:
    found = grid({"lr": "1,2", "n": "4,8", "beta": "0.1"}, paired=True)
    assert found == [{"lr": "1", "n": "4", "beta": "0.1"}, {"lr": "2", "n": "8", "beta": "0.1"}]


@pytest.mark.parametrize(
    ("settings", "paired", "why"),
    [
        ({"lr": "1,2", "n": "4,8,16"}, True, "lr has 2, n has 3"),
        ({"lr": "1,,2"}, False, "no value between two commas"),
        ({"lr": "1,2,1"}, False, "`1` stands there twice"),
    ],
)
def test_what_is_no_grid(settings: dict[str, str], paired: bool, why: str) -> None:
    with pytest.raises(InputWrong, match=why):
        grid(settings, paired)


def test_seeds() -> None:
    assert seeds(None, None, 42) == [42]
    assert seeds(3, None, 42) == [42, 43, 44]
    assert seeds(None, "0,1", 42) == [0, 1]
    for count, given in ((2, "0,1"), (None, "0,x"), (None, "1,1")):
        with pytest.raises(InputWrong, match="seed"):
            seeds(count, given, 42)
