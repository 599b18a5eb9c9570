"""The entries `wrong` of `trl.toml`, in numbers: TRL itself, and the paper's equation in NumPy or by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parity_batches as batches
import pytest
import torch
from loss_references import token_logps
from parity_batches import Groups, Models, flat
from parity_list import DOCUMENT, Case
from parity_theirs import theirs

pytestmark = pytest.mark.slow


def logps(model: torch.nn.Module, groups: Groups, column: str) -> list[np.ndarray]:
    """Of each sample the log-probabilities of its tokens."""
    with torch.no_grad():
        return [token_logps(model, sample, column).double().numpy() for sample in flat(groups)]


def log_ratios(models: Models, groups: Groups, column: str) -> np.ndarray:
    own, other = (logps(model, groups, column) for model in (models.policy, models.reference))
    return np.array([float(a.sum() - b.sum()) for a, b in zip(own, other, strict=True)])


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def test_there_are_three_at_most() -> None:
    assert len(DOCUMENT["wrong"]) <= 3
    assert all({"where", "paper", "equation", "said"} == set(entry) for entry in DOCUMENT["wrong"])


def test_orpo_learns_the_prompt(tmp_path: Path) -> None:
    models, groups = Models(), batches.pairs()
    found, _ = theirs(Case("experimental.orpo.ORPOTrainer", "orpo", ""), models, groups, tmp_path)
    good, bad = logps(models.policy, groups, "chosen"), logps(models.policy, groups, "rejected")
    p, q = (np.exp([float(one.mean()) for one in side]) for side in (good, bad))
    odds = 0.1 * softplus(-np.log(p / (1 - p)) + np.log(q / (1 - q))).mean()
    paper = -np.concatenate(good).mean() + odds
    assert abs(found - paper) > 0.1
    whole = []
    for sample in flat(groups):
        prompt, response = (list(ids) for ids in sample.sequences["chosen"])
        everything = batches.Sample({"response": (prompt[:1], prompt[1:] + response)})
        whole.append(token_logps(models.policy, everything).detach().double().numpy())
    assert found == pytest.approx(-np.concatenate(whole).mean() + odds, rel=1e-5)


def test_the_alpha_of_a_divergence_runs_the_other_way(tmp_path: Path) -> None:
    models, groups = Models(), batches.pairs()
    settings = {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.2}
    found, _ = theirs(Case("DPOTrainer", "sigmoid", "", settings), models, groups, tmp_path)

    def paper(alpha: float) -> float:
        rewards = [(1 - np.exp(log_ratios(models, groups, side)) ** -alpha) / alpha for side in ("chosen", "rejected")]
        return float(softplus(-0.1 * (rewards[0] - rewards[1])).mean())

    assert abs(found - paper(0.2)) > 0.01
    assert found == pytest.approx(paper(0.8), rel=1e-5)


def test_bco_has_no_shift(tmp_path: Path) -> None:
    models, groups = Models(), batches.pairs()
    found, _ = theirs(Case("DPOTrainer", "bco_pair", "", {"beta": 5.0}), models, groups, tmp_path)
    better, worse = (5 * log_ratios(models, groups, side) for side in ("chosen", "rejected"))

    def loss(shift: float) -> float:
        return float((softplus(shift - better) + softplus(worse - shift)).mean())

    delta = float(np.concatenate([better, worse]).mean())
    assert abs(found - loss(delta)) > 1e-2
    assert found == pytest.approx(loss(0.0), rel=1e-5)
