"""A case of `trl.toml`, measured: how far loss and gradient of TRL and of the compiled objective are apart."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path

import parity_batches as batches
from loss_cases import Gradient
from objective_batches import scored
from parity_batches import Groups, Models
from parity_list import Case
from parity_ours import loss_and_gradient
from parity_theirs import theirs
from transformers import PreTrainedModel

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Distance:
    """Of two losses and gradients."""

    ours: float
    theirs: float
    gradient: float
    """‖g - g′‖ / ‖g′‖"""

    @property
    def loss(self) -> float:
        """|L - L′| / max(1, |L′|)"""
        return abs(self.ours - self.theirs) / max(1.0, abs(self.theirs))


def batch(case: Case, models: Models) -> Groups:
    """The rows of a case, of which every source that its call names is made."""
    if "judge" in case.ours:
        return scored(batches.pairs())
    if "pairs" in case.ours or "chosen" in case.ours:
        return batches.pairs(case.prompt_tokens)
    if "uld" in case.ours:
        return batches.translated(batches.rows())
    if "labelled" in case.ours or "demos" in case.ours:
        return batches.rows()
    return batches.rollouts(models.sampler, case.settings.get("temperature", 1.0))


def sources(case: Case, groups: Groups) -> dict[str, Groups]:
    """The rows by the names that a call has for its sources."""
    found = dict.fromkeys(("pairs", "labelled", "demos", "rollouts"), groups)
    if "chosen" in case.ours:
        found["chosen"] = batches.chosen(groups)
    if "strangers" in case.ours:
        found["strangers"] = batches.shifted(groups)
    return found


def roles_of(case: Case, models: Models) -> dict[str, PreTrainedModel]:
    """The models by the names that a call has for them."""
    learner = copy.deepcopy(models.judge if "judge" in case.ours else models.policy)
    return {
        **dict.fromkeys(("policy", "student", "judge"), learner),
        "reference": models.reference,
        "teacher": models.stranger if "uld" in case.ours else models.teacher,
    }


def measured(case: Case, folder: Path) -> Distance:
    models = Models()
    groups = batch(case, models)
    roles = roles_of(case, models)
    ours, gradient = loss_and_gradient(case.ours, sources(case, groups), roles, case.settings.get("temperature", 1.0))
    loss, other = theirs(case, models, groups, folder)
    return Distance(ours, loss, distance(gradient, other))


def distance(gradient: Gradient, other: Gradient) -> float:
    """‖g - g′‖ / ‖g′‖ over all parameters; g′ is not 0."""
    assert gradient.keys() == other.keys()
    apart = sum(float(((gradient[name] - other[name]).double() ** 2).sum()) for name in other)
    length = sum(float((tensor.double() ** 2).sum()) for tensor in other.values())
    assert length > 0
    return math.sqrt(apart / length)
