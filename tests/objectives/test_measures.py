"""What a step's metrics are beside its loss: found in the form of the expression, and what TRL computes."""

from __future__ import annotations

import loss_expressions as expressions
import pytest
import torch
from loss_cases import forward_of, pairs, rollouts, tiny_model
from suitable import program

from ptc import api
from ptc.compiler.guards import has
from ptc.compiler.monitors import Need
from ptc.runtime.batches import Batch, collate
from ptc.runtime.loss import Loss, losses_of
from ptc.runtime.metrics import Measurements

COMPARED = {f"rewards/{name}" for name in ("chosen", "rejected", "margins", "accuracies")} | {
    "logps/chosen",
    "logps/rejected",
}
CLIPPED = {f"clip_ratio/{name}" for name in ("low_mean", "high_mean", "region_mean", "low_min", "high_max")}
LABELLED = {f"{what}/{side}" for what in ("rewards", "logps") for side in ("chosen", "rejected")} | {"rewards/margins"}
DRIFTED = {f"sampling/sampling_logp_difference/{name}" for name in ("mean", "max")} | {
    f"sampling/importance_sampling_ratio/{name}" for name in ("min", "mean", "max")
}
WEIGHED = {f"importance_ratio/{name}" for name in ("effective_sample_size", "min", "max")}
EXPECTED = {
    "sft": set[str](),
    "dpo": COMPARED,
    "hinge": COMPARED,
    "simpo": COMPARED,
    "apo_zero": COMPARED,
    "kto": {"kl", *LABELLED},
    "apo_zero_unpaired": LABELLED,
    "bradley_terry": {"mean_reward", "min_reward", "max_reward", "margin", "accuracy"},
    "grpo": {"kl", *CLIPPED, *DRIFTED, *WEIGHED},
    "gspo": {"kl", *CLIPPED, *WEIGHED},
    "rloo": {"kl", *CLIPPED, *WEIGHED},
    "ppo": {"kl", *CLIPPED, *WEIGHED},
    "lite_ppo": {*CLIPPED, *WEIGHED},
    "process_min": {*CLIPPED, *WEIGHED},
    "two_sided_grpo": {*CLIPPED, *WEIGHED},
    "off_policy_grpo": {*CLIPPED, *DRIFTED, *WEIGHED},
    "cispo": {"cispo_clip_ratio", *WEIGHED},
    "sapo": WEIGHED,
    "reverse_kl": set[str](),
}


@pytest.mark.parametrize("objective", EXPECTED)
def test_an_objective_is_measured_by_its_form(objective: str) -> None:
    graph = api.compiled(api.check_text(program(objective)))
    [stage] = [node for node in graph.nodes.values() if node.kind == "train"]
    learners = [name for name, role in stage.settings["models"].items() if role["as"] == "train"]
    measurements = Measurements(losses_of(stage.settings["terms"]), learners)
    named = measurements.metrics([1.0] * len(measurements.sums), [1.0] * len(measurements.extremes))
    assert named.keys() == EXPECTED[objective] | {"mean_token_accuracy", "entropy"}


NEEDED = {
    "kl": {"kl"},
    "ratio": {"importance_ratio/effective_sample_size"},
    "clip": {"clip_ratio/region_mean", "cispo_clip_ratio"},
    "chosen": {"logps/chosen"},
}
"""What a guard needs, and the metrics by which it is known that it is there."""


@pytest.mark.parametrize("objective", EXPECTED)
@pytest.mark.parametrize("need", NEEDED)
def test_the_checker_knows_what_will_be_measured(objective: str, need: Need) -> None:
    checked = api.check_text(program(objective)).checked
    assert checked is not None
    [stage] = checked.program.stages
    labelled = need == "chosen" and objective in ("kto", "apo_zero_unpaired")  # rows with a label have no `.chosen`
    assert has(need, stage.terms) == (bool(NEEDED[need] & EXPECTED[objective]) and not labelled)


def measured(document: dict[str, object], batch: Batch, *cuts: tuple[int, int]) -> dict[str, float]:
    loss = Loss([(1.0, document)])
    prepared = loss.prepare(batch)
    measurements = Measurements([loss], ["m0"])
    for start, stop in cuts or [(0, batch.samples)]:
        measurements.add(loss.part(prepared, start, stop, forward_of(tiny_model(1), tiny_model(2))))
    return measurements.metrics(measurements.sums, measurements.extremes)


def log_probabilities(model: torch.nn.Module, prompt: list[int], ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0].log_softmax(-1)
    return logits[len(prompt) - 1 : -1].gather(1, torch.tensor(ids)[:, None]).squeeze(1)


def test_rewards_of_pairs_are_those_of_dpo() -> None:
    groups = pairs(3)
    found = measured(expressions.dpo(beta=0.3), collate(groups))
    sides: dict[str, list[float]] = {"chosen": [], "rejected": []}
    policy_side: dict[str, list[float]] = {"chosen": [], "rejected": []}
    for [sample] in groups:
        for side, rewards in sides.items():
            own, held = (log_probabilities(tiny_model(seed), *map(list, sample.sequences[side])) for seed in (1, 2))
            rewards.append(0.3 * float((own - held).sum()))
            policy_side[side].append(float(own.sum()))
    better, worse = (torch.tensor(sides[side]) for side in ("chosen", "rejected"))
    assert found["rewards/chosen"] == pytest.approx(float(better.mean()), abs=1e-5)
    assert found["rewards/rejected"] == pytest.approx(float(worse.mean()), abs=1e-5)
    assert found["rewards/margins"] == pytest.approx(float((better - worse).mean()), abs=1e-5)
    assert found["rewards/accuracies"] == pytest.approx(float((better > worse).float().mean()))
    for side, values in policy_side.items():
        assert found[f"logps/{side}"] == pytest.approx(float(torch.tensor(values).mean()), abs=1e-4)


def test_clipping_and_divergence_are_those_of_grpo() -> None:
    groups = rollouts(4)
    found = measured(expressions.grpo(kl=0.1), collate(groups))
    low, high, divergences, ratios = list[bool](), list[bool](), list[float](), list[float]()
    for group in groups:
        rewards = torch.tensor([sample.numbers["reward"] for sample in group])
        for sample, reward in zip(group, rewards, strict=True):
            advantage = float(reward - rewards.mean())
            own, held = (
                log_probabilities(tiny_model(seed), *map(list, sample.sequences["response"])) for seed in (1, 2)
            )
            ratio = (own - torch.tensor(sample.token_numbers["logprobs"])).exp()
            ratios += ratio.tolist()
            low += [bool(value) and advantage < 0 for value in ratio < 0.8]
            high += [bool(value) and advantage > 0 for value in ratio > 1.28]
            divergences += ((held - own).exp() - (held - own) - 1).tolist()
    assert any(low) and any(high)
    assert found["clip_ratio/low_mean"] == pytest.approx(sum(low) / len(low))
    assert found["clip_ratio/high_mean"] == pytest.approx(sum(high) / len(high))
    assert found["clip_ratio/region_mean"] == pytest.approx((sum(low) + sum(high)) / len(low))
    assert found["kl"] == pytest.approx(sum(divergences) / len(divergences), rel=1e-4)
    effective = sum(ratios) ** 2 / sum(ratio**2 for ratio in ratios) / len(ratios)
    assert found["importance_ratio/effective_sample_size"] == pytest.approx(effective, rel=1e-4)
    assert found["importance_ratio/max"] == pytest.approx(max(ratios), rel=1e-4)


def test_extremes_are_those_of_single_responses() -> None:
    groups = rollouts(4)
    found = measured(expressions.grpo(kl=0.1), collate(groups))
    shares: dict[str, list[float]] = {"low": [], "high": []}
    for group in groups:
        rewards = torch.tensor([sample.numbers["reward"] for sample in group])
        for sample, reward in zip(group, rewards, strict=True):
            advantage = float(reward - rewards.mean())
            own = log_probabilities(tiny_model(1), *map(list, sample.sequences["response"]))
            ratio = (own - torch.tensor(sample.token_numbers["logprobs"])).exp()
            shares["low"].append(float((ratio < 0.8).float().mean()) * (advantage < 0))
            shares["high"].append(float((ratio > 1.28).float().mean()) * (advantage > 0))
    assert found["clip_ratio/low_min"] == pytest.approx(min(shares["low"]))
    assert found["clip_ratio/high_max"] == pytest.approx(max(shares["high"])) and found["clip_ratio/high_max"] > 0


def test_measures_of_parts_are_those_of_the_whole() -> None:
    for document, groups in ((expressions.dpo(), pairs(3)), (expressions.grpo(kl=0.1), rollouts(4))):
        batch = collate(groups)
        whole = measured(document, batch)
        cut = measured(document, batch, (0, 2), (2, 3), (3, batch.samples))
        assert cut == pytest.approx(whole, rel=1e-4, abs=1e-6)
