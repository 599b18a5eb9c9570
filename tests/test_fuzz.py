"""A slice of `benchmarks/fuzz.py`: programs that nobody would write give diagnostics, never an exception, and soon."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

FUZZ = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent.parent / "benchmarks" / "fuzz.py")))
SLICES = 8
IN_A_SLICE = 250


@pytest.mark.parametrize("slice_", range(SLICES))
def test_any_program_is_checked(slice_: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FUZZ.checked(1, 0)  # what is read once is read
    for number in range(slice_ * IN_A_SLICE, (slice_ + 1) * IN_A_SLICE):
        outcome = FUZZ.checked(2026, number)
        assert outcome.seconds < FUZZ.LIMIT, f"python benchmarks/fuzz.py --seed 2026 --print {number}"


def test_a_number_is_always_the_same_program() -> None:
    assert FUZZ.made(1, 7) == FUZZ.made(1, 7)
    assert len({FUZZ.made(1, number)[1] for number in range(100)}) > 90
    assert {FUZZ.made(1, number)[0] for number in range(100)} == {"tokens", "characters", "statements", "trees"}


def test_many_programs_reach_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fuzzer whose programs all fail at their first word would find nothing."""
    monkeypatch.chdir(tmp_path)
    results = [FUZZ.check_text(FUZZ.made(3, number)[1]) for number in range(200)]
    codes = {diagnostic.code for result in results for diagnostic in result.diagnostics}
    assert len(codes) > 40
    assert sum(not any(d.code[0] == "S" for d in result.diagnostics) for result in results) > 60
