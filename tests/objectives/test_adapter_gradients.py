"""What an adapter learns of an objective follows from what full weights would: the chain rule, for the whole library.

Under an adapter W + s·B·A stands in the place of W, so that dB = s · dW · Aᵀ and dA = s · Bᵀ · dW; dW is that of the
merged weights, in a model without adapters. The reference is the adapter switched off, or the base loaded apart.
"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from objective_batches import groups_of
from peft import LoraConfig
from suitable import NAMES
from test_batch_laws import Way, gradient, models_of, train_node

from ptc.runtime.adapters import AdapterOff, adapt, merged
from ptc.runtime.training import Training

PLACES = ["q_proj", "v_proj", "down_proj"]
SCALE = 8 / 2**0.5
"""alpha / √rank: rank-stabilised (Kalajdzievski, 2023, arXiv 2312.03732)."""
PARTS = Way(micro_batch=2, packing=True, processes=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_learns_by_the_chain_rule(name: str, tmp_path: Path) -> None:
    node = train_node(name)
    training = Training.of(node.settings)
    groups = dict(zip(training.losses[0].sources, groups_of(name), strict=True))
    plain, adapted = models_of(node, torch.float64), models_of(node, torch.float64)
    learner = training.trained[0]
    reference = next((each for each in training.frozen if type(plain[each]) is type(plain[learner])), None)
    if reference is not None:
        plain[reference] = copy.deepcopy(plain[learner])
    config = LoraConfig(r=2, lora_alpha=8, use_rslora=True, target_modules=PLACES)
    model = adapt(adapted[learner], config)
    torch.manual_seed(4)
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if ".lora_" in path:
                parameter.normal_(std=0.05)
    plain[learner] = merged(copy.deepcopy(model))
    plain[learner].requires_grad_(True)
    adapted[learner] = model  # type: ignore[assignment]
    if reference is not None:
        adapted[reference] = AdapterOff(model)  # type: ignore[assignment]
    expected, *_ = gradient(node, plain, groups, Way(), tmp_path)
    loss, *_ = gradient(node, adapted, groups, PARTS, tmp_path)
    assert loss == pytest.approx(expected, rel=1e-7, abs=1e-7)
    full = dict(plain[learner].named_parameters())
    factors = {path: parameter for path, parameter in model.get_base_model().named_parameters() if ".lora_" in path}
    off, size = 0.0, 0.0
    for path in {path.partition(".lora_")[0] for path in factors}:
        a, b = (factors[f"{path}.lora_{factor}.default.weight"] for factor in "AB")
        slope = full[f"{path}.weight"].grad
        assert slope is not None and a.grad is not None and b.grad is not None
        pairs = ((b.grad, SCALE * slope @ a.detach().T), (a.grad, SCALE * b.detach().T @ slope))
        for found, wanted in pairs:
            off, size = off + float((found - wanted).square().sum()), size + float(wanted.square().sum())
    assert size**0.5 > 1e-6 and (off / size) ** 0.5 <= 1e-8
    still = [parameter for path, parameter in model.named_parameters() if ".lora_" not in path]
    assert all(parameter.grad is None for parameter in still)
