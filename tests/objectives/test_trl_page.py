"""`docs/against-trl.md` shows what `trl.toml` says, and every objective."""

from __future__ import annotations

import re
from pathlib import Path

from parity_list import CASES, DOCUMENT, OMISSIONS
from suitable import NAMES
from twenty_steps import RUNS

PAGE = (Path(__file__).parents[2] / "docs" / "against-trl.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(.+?)` \| (.+?) \| ([\de+-]+) \| ([\de+-]+) \|$", re.MULTILINE)


def test_every_case_and_every_objective_has_a_row() -> None:
    rows = [(ours, beside.replace("\\|", "|")) for ours, beside, *_ in ROW.findall(PAGE)]
    cases = [(case.ours, f"{case.name}. {case.note}" if case.note else case.name) for case in CASES]
    assert rows[: len(cases)] == cases
    assert [ours for ours, _ in rows[len(cases) :]] == list(NAMES)


def test_every_distance_holds() -> None:
    for _, _, loss, slope in ROW.findall(PAGE)[: len(CASES)]:
        assert max(float(loss), float(slope)) <= 1e-5


def test_what_is_left_out_and_what_is_wrong_stand_there() -> None:
    assert all(f"* *{omission.name}*: {omission.why}" in PAGE for omission in OMISSIONS)
    assert all(entry["said"] in PAGE for entry in DOCUMENT["wrong"])


def test_twenty_steps_stand_there() -> None:
    steps = re.findall(r"^\| ([\w, ]+) \| ([\de+-]+) \| ([\de+-]+) \|$", PAGE, re.MULTILINE)
    assert [name for name, *_ in steps] == list(RUNS)
    assert all(float(apart) <= 1e-4 for _, apart, _ in steps)
