"""The entries `wrong` of `trl.toml`, in numbers: TRL itself, and the paper's equation in NumPy or by hand."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import parity_batches as batches
import pytest
import torch
from loss_references import token_logps
from parity_batches import Groups, Models, flat
from parity_list import DOCUMENT, Case
from parity_theirs import build, config, theirs

pytestmark = pytest.mark.slow


def logps(model: torch.nn.Module, groups: Groups, column: str) -> list[np.ndarray]:
    """Of each sample the log-probabilities of its tokens."""
    with torch.no_grad():
        return [token_logps(model, sample, column).double().numpy() for sample in flat(groups)]


def distribution(model: torch.nn.Module, ids: torch.Tensor) -> np.ndarray:
    """(rows, 2, vocabulary) log-probabilities of the last two tokens."""
    with torch.no_grad():
        values: np.ndarray = model(input_ids=ids).logits[:, 1:3].double().log_softmax(-1).numpy()
    return values


def log_ratios(models: Models, groups: Groups, column: str) -> np.ndarray:
    own, other = (logps(model, groups, column) for model in (models.policy, models.reference))
    return np.array([float(a.sum() - b.sum()) for a, b in zip(own, other, strict=True)])


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def test_there_are_three_at_most() -> None:
    assert len(DOCUMENT["wrong"]) <= 3
    assert all({"where", "paper", "equation", "said"} == set(entry) for entry in DOCUMENT["wrong"])


def test_gkd_counts_the_tokens_of_the_rows_it_did_not_learn_from(tmp_path: Path) -> None:
    """One step of TRL's Trainer: responses of 6 tokens in the rows, of 2 tokens from the student."""
    models = Models()
    case = Case("experimental.gkd.GKDTrainer", "jsd", "", {"beta": 0.0, "lmbda": 1.0, "max_steps": 1})
    rows = [[{"role": "user", "content": "w2 w3"}, {"role": "assistant", "content": "w4 w5 w6 w7 w8 w9"}]] * 4
    ids = torch.tensor([[2, 3, 4 + n, 9 - n] for n in range(4)])
    labels = ids.masked_fill(torch.arange(4) < 2, -100)
    policy = copy.deepcopy(models.policy)
    args = config(case, tmp_path, per_device_train_batch_size=4, logging_steps=1, save_strategy="no")
    trainer = build(case, args, policy, {"messages": rows}, teacher_model=copy.deepcopy(models.teacher))
    trainer.generate_on_policy_outputs = lambda *_: (ids, torch.ones_like(ids), labels)
    trainer.train()
    logs = [distribution(model, ids) for model in (models.teacher, models.policy)]
    divergence = float((np.exp(logs[0]) * (logs[0] - logs[1])).sum(-1).mean())
    found = trainer.state.log_history[0]["loss"]
    assert found < 0.5 * divergence
    assert found == pytest.approx(divergence * 2 / 6, rel=1e-3)


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
