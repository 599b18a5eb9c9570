"""Pairs that prefer nothing, or length."""

from __future__ import annotations

from workshop import DPO, Workshop, codes, one, stage

GOOD = [
    {"prompt": f"What is {n} + {n}?", "chosen": f"It is {2 * n}.", "rejected": f"It is {2 * n + 1}."} for n in range(20)
]
LONG = "because we add the first number to the second and then look at what comes out of it all, "


def test_good_pairs_are_not_mentioned(workshop: Workshop) -> None:
    assert codes(workshop.learned(GOOD, body=DPO)) == []


def test_ties_and_doubles(workshop: Workshop) -> None:
    rows = [*GOOD, {**GOOD[3], "rejected": "It is 6."}, GOOD[4], GOOD[4]]
    found = one(workshop.learned(rows, body=DPO), "D408")
    assert found.severity == "warning"
    assert found.title == "pairs of `rows` prefer nothing: 1 of 23 rows are tied: both sides are one text"
    assert found.notes[0] == "rows.jsonl:21: both are 'It is 6.'"
    assert found.notes[1] == "2 of 23 rows are doubles of others"


def test_near_identical_answers(workshop: Workshop) -> None:
    rows = [{**row, "chosen": LONG * 3 + "yes", "rejected": LONG * 3 + "no"} for row in GOOD]
    assert "20 of 20 rows are near-identical" in one(workshop.learned(rows, body=DPO), "D408").title


def test_a_preference_for_length_under_a_sum(workshop: Workshop) -> None:
    rows = [{**row, "chosen": f"{LONG}{n}"} for n, row in enumerate(GOOD)]
    found = one(workshop.learned(rows, body=DPO), "D408")
    assert "prefer by length: `chosen` has " in found.title
    assert found.notes == ("`dpo` sums over tokens, so that length alone makes a margin",)
    normed = "from std.objectives import simpo\n" + stage("train policy = base", "minimize simpo(rows, policy)")
    assert "D408" not in codes(workshop.learned(rows, body=normed))
