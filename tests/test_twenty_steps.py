"""Twenty optimizer steps by `ptc run` and by TRL's Trainer end in the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from twenty_steps import RUNS

pytestmark = pytest.mark.slow

CLOSE = 1e-4
MOVED = 1e-2
"""How far training itself has to go, for its end to say anything."""


@pytest.mark.parametrize("name", RUNS)
def test_the_weights_are_those_of_trl(name: str, tmp_path: Path) -> None:
    found = RUNS[name](tmp_path)
    assert found.apart < CLOSE
    assert found.moved > MOVED
    if "GRPO" in name:  # both sides of the clip were met on the way
        for side in ("low", "high"):
            assert any(row.get(f"clip_ratio/{side}_mean", 0) > 0 for row in found.log)
