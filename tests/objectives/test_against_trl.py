"""Loss and gradient of every case of `trl.toml` as TRL's own trainers compute them, on the same batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from loss_references import advantages, token_logps
from parity import TOLERANCE, measured
from parity_batches import Groups, Models, flat, pairs, rollouts, rows, shifted
from parity_list import CASES, Case

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_loss_and_gradient(case: Case, tmp_path: Path) -> None:
    found = measured(case, tmp_path)
    assert found.loss <= TOLERANCE
    assert found.gradient <= TOLERANCE


def test_the_rollouts_have_every_branch_in_them() -> None:
    """Clips on both sides, weights on both sides of their cap, responses that are stale and responses that are not."""
    models = Models()
    groups = rollouts(models.sampler)
    advantage = torch.cat([advantages(group) for group in groups])
    logs = [
        token_logps(models.policy, sample).detach() - torch.tensor(sample.token_numbers["logprobs"])
        for sample in flat(groups)
    ]
    good, bad = advantage > 0, advantage < 0
    assert any((log.exp() > 1.28).any() and up for log, up in zip(logs, good, strict=True))
    assert any((log.exp() < 0.8).any() and down for log, down in zip(logs, bad, strict=True))
    assert any((log.exp() > 1.5).any() and down for log, down in zip(logs, bad, strict=True))
    whole = torch.stack([log.sum().exp() for log in logs])
    assert (whole > 1.2).any() and (whole < 1.2).any()
    stale = torch.stack([-log.mean() for log in logs]) > 0.05
    assert (stale & bad).any() and (~stale & bad).any() and (stale & good).any()
    assert len({len(log) for log in logs}) > 3


@pytest.mark.parametrize("groups", [rows(), shifted(rows())])
def test_the_point_of_comparison_of_kto_is_not_cut_off_at_0(groups: Groups) -> None:
    models = Models()
    with torch.no_grad():
        away = [token_logps(models.policy, one) - token_logps(models.reference, one) for one in flat(groups)]
    assert sum(float(one.sum()) for one in away) / len(away) > 0.1


def test_the_hinges_are_met_on_both_sides() -> None:
    models, samples = Models(), flat(pairs())
    with torch.no_grad():
        sides = [
            torch.stack([token_logps(model, one, side).sum() for one in samples])
            for model in (models.policy, models.reference)
            for side in ("chosen", "rejected")
        ]
    for margin in (sides[0] - sides[1] - (sides[2] - sides[3]), 0.3 * (sides[0] - sides[1])):
        assert (margin > 1).any()
        assert (margin < 1).any()
