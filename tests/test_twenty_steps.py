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
    compared = verify_metrics(found.metrics, found.log, passes=2 if "GRPO" in name else 1)
    assert compared >= ALWAYS | COMPARED[name]


ALWAYS = {"loss", "grad_norm", "learning_rate"}
COMPARED = {
    "SFT": {"mean_token_accuracy", "entropy", "num_tokens", "epoch"},
    "DPO": {"rewards/margins", "rewards/accuracies", "logps/chosen", "entropy", "num_tokens", "epoch"},
    "GRPO, each rollout twice": {
        "reward",
        "reward_std",
        "frac_reward_zero_std",
        "rewards/overlong/std",
        "completions/mean_terminated_length",
        "completions/clipped_ratio",
        "clip_ratio/low_min",
        "clip_ratio/high_max",
    },
    "reward model": {"min_reward", "max_reward", "margin", "accuracy", "num_tokens", "epoch"},
}


def verify_metrics(ours: list[dict[str, float]], theirs: list[dict[str, float]], passes: int) -> set[str]:
    """What both log of a step is the same. TRL counts the tokens of what it sampled in the first pass alone."""
    logged = [{name.replace("<lambda>", "overlong"): value for name, value in row.items()} for row in theirs]
    compared = set()
    for own, other in zip(ours, logged, strict=False):
        assert own["step"] == other["step"]
        both = (own.keys() & other.keys()) - ({"step_time"} | ({"num_tokens", "epoch"} if passes > 1 else set()))
        compared |= both
        assert {n: own[n] for n in both} == pytest.approx({n: other[n] for n in both}, rel=1e-3, abs=1e-5)
    return compared
