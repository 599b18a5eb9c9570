"""Of the mutants of the catalogue of checks that the program's text shows, at least 95 % are found in it.

Those that need rows, and the generic ones, are in `benchmarks/lint.py`, from which this takes its mutants.
"""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
def test_mutants_are_found_in_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import lint

    static = {mutation.name for mutation in lint.MUTATIONS if mutation.when == "static"}
    verdicts = [verdict for name in lint.recipes() for verdict in lint.mutated(name, ("static",))]
    missed = [verdict for verdict in verdicts if verdict.caught is None]
    assert {verdict.mutation for verdict in verdicts} == static
    assert len(missed) <= (1 - lint.RECALL) * len(verdicts), missed
