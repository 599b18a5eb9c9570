"""Where a metric has a name of TRL's, its value is TRL's, on the batch on which the losses are compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import parity
import parity_ours as ours
import parity_theirs as theirs
import pytest
from loss_cases import forward_of
from parity_batches import Groups, Models
from parity_list import CASES, Case

from ptc import api
from ptc.runtime.batches import collate
from ptc.runtime.loss import losses_of
from ptc.runtime.metrics import Measurements

pytestmark = pytest.mark.slow


def of_trl(
    case: Case, models: Models, groups: Groups, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, float]:
    """What TRL's trainer keeps to log."""
    built: list[Any] = []
    build = theirs.build
    monkeypatch.setattr(theirs, "build", lambda *given, **more: built.append(build(*given, **more)) or built[-1])
    theirs.theirs(case, models, groups, folder)
    [trainer] = built
    kept = getattr(trainer, "_metrics", None) or getattr(trainer, "_stored_metrics", None) or {"train": trainer.stats}
    return {name: float(values[-1]) for own in kept.values() for name, values in own.items() if values}


def measured(case: Case, models: Models, groups: Groups) -> dict[str, float]:
    roles = parity.roles_of(case, models)
    temperature = case.settings.get("temperature", 1.0)
    [stage] = [
        node
        for node in api.compiled(api.check_text(ours.program(case.ours, temperature))).nodes.values()
        if node.kind == "train"
    ]
    asked = [roles[stage.names[canonical]] for canonical in stage.settings["models"]]
    sources = parity.sources(case, groups)
    losses = losses_of(stage.settings["terms"])
    found = Measurements(losses, [next(iter(stage.settings["models"]))])
    for loss in losses:
        prepared = loss.prepare({source: collate(sources[stage.names[source]]) for source in loss.sources})
        found.add(loss.whole(prepared, forward_of(*asked)))
    return found.metrics(found.sums, found.extremes)


REWARDS = {"rewards/chosen", "rewards/rejected", "rewards/margins"}
LOGPS = {"logps/chosen", "logps/rejected"}
OTHERWISE: Mapping[str, tuple[set[str], str]] = {
    "DPOTrainer ipo": (REWARDS, "what IPO compares are means over tokens"),
    "OnlineDPOTrainer ipo": (REWARDS, "IPO holds no factor before what it compares"),
    "DPOTrainer sppo_hard": (REWARDS, "SPPO holds no factor before what it compares"),
    "DPOTrainer sigmoid_norm, beta=5.0": (REWARDS, "what is compared are means over tokens"),
    "DPOTrainer sigmoid, f_divergence_type=forward_kl": (REWARDS, "what is compared are functions of log-ratios"),
    "DPOTrainer sigmoid, f_divergence_type=js_divergence": (REWARDS, "what is compared are functions of log-ratios"),
    "DPOTrainer sigmoid, f_divergence_type=alpha_divergence, f_alpha_divergence_coef=0.3": (
        REWARDS,
        "what is compared are functions of log-ratios",
    ),
    "DPOTrainer sigmoid, ld_alpha=0.5": (LOGPS, "TRL's are without what lies behind the shorter response"),
    "ORPOTrainer orpo": (LOGPS | REWARDS, "TRL's are means over tokens; ORPO compares log-odds"),
    "CPOTrainer ipo": (LOGPS | REWARDS, "TRL's are means over tokens, with a factor that IPO does not hold"),
    "CPOTrainer simpo, cpo_alpha=0.0, beta=2.0, simpo_gamma=0.5": (LOGPS, "TRL's are means over tokens"),
    "CPOTrainer alphapo, alpha=0.25, beta=2.0": (LOGPS, "TRL's are means over tokens"),
    "DPOTrainer sft": ({"entropy"}, "the loss reads no rejected response"),
    "DPOTrainer sigmoid, sft, loss_weights=[0.8, 0.3]": ({"entropy"}, "the chosen responses are read by both terms"),
    "GRPOTrainer grpo, beta=0.05, use_bias_correction_kl=True": ({"kl"}, "TRL's is times the ratio"),
    "GRPOTrainer grpo, off_policy_mask_threshold=0.05, beta=0.05, use_bias_correction_kl=True": (
        {"kl"},
        "TRL's is times the ratio",
    ),
}
"""Metrics of one name that are not the same, and why."""
KTO_OF_STRANGERS = "kto_mismatched"


def otherwise(case: Case) -> set[str]:
    if KTO_OF_STRANGERS in case.ours:
        return {"entropy"}  # of the strangers' responses as well, which the loss reads
    return OTHERWISE.get(case.name, (set(), ""))[0]


LOGGED = [case for case in CASES if not case.trainer.endswith("GOLDTrainer")]
"""GOLD's loss is called without its trainer, which would read texts of its own; it keeps nothing to log."""


@pytest.mark.parametrize("case", LOGGED, ids=lambda case: case.name)
def test_metrics_are_those_of_trl(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models()
    groups = parity.batch(case, models)
    found, expected = measured(case, models, groups), of_trl(case, models, groups, tmp_path, monkeypatch)
    both = found.keys() & expected.keys()
    apart = {name for name in both if found[name] != pytest.approx(expected[name], rel=1e-4, abs=1e-5)}
    assert apart == otherwise(case)
    assert both - apart >= EXPECTED.get(case.trainer, set())


EXPECTED = {
    "SFTTrainer": {"entropy", "mean_token_accuracy"},
    "DPOTrainer": {"mean_token_accuracy"},
    "KTOTrainer": {*LOGPS, *REWARDS},
    "RewardTrainer": {"mean_reward", "min_reward", "max_reward", "margin", "accuracy"},
    "GRPOTrainer": {"entropy"},
    "RLOOTrainer": {"kl", "entropy", *(f"clip_ratio/{name}" for name in ("low_mean", "low_min", "high_max"))},
    "DistillationTrainer": {"entropy"},
}
"""Of all cases of a trainer, metrics that are compared."""


def test_each_metric_that_a_loss_lets_one_measure_is_compared_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for case in CASES:
        models = Models()
        found |= measured(case, models, parity.batch(case, models)).keys() - otherwise(case)
    assert {"cispo_clip_ratio", "clip_ratio/high_max", "rewards/accuracies", "kl"} <= found
    assert {f"sampling/importance_sampling_ratio/{name}" for name in ("min", "mean", "max")} <= found
    assert {f"sampling/sampling_logp_difference/{name}" for name in ("mean", "max")} <= found
