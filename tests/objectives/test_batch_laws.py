"""One global batch has one gradient: in any micro-batches, any order, any packing, any division over processes.

Over every objective of the library, with real models of every kind of head, by the trainer's own accumulation.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch
from against_numpy import doubled, leaves
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from loss_cases import VOCABULARY, tiny_model
from objective_batches import Groups, groups_of
from suitable import NAMES, program
from training_cases import MemoryFlow, Stage
from transformers import PreTrainedModel, Qwen3ForSequenceClassification, Qwen3ForTokenClassification

from ptc import api
from ptc.compiler.graph import Node
from ptc.runtime.batches import Batch, collate
from ptc.runtime.metrics import Measurements
from ptc.runtime.placement import Placement
from ptc.runtime.ranks import Ranks
from ptc.runtime.trainer import Trainer
from ptc.runtime.training import Training

TOLERANCE = {torch.float64: (1e-7, 1e-10), torch.float32: (1e-5, 1e-5)}
"""Of the loss, where it is more than 1 of itself, and of the gradient's norm. Constants of a loss are float32."""
HEADED = {"reward": Qwen3ForSequenceClassification, "value": Qwen3ForTokenClassification}


@dataclass(frozen=True)
class Way:
    """How a batch is computed."""

    micro_batch: int | None = None
    packing: bool = False
    processes: int = 1
    order: int | None = None
    """Seed of an order of prompts and attempts; None: as they are."""


ways = st.builds(
    Way,
    micro_batch=st.one_of(st.none(), st.integers(1, 7)),
    packing=st.booleans(),
    processes=st.integers(1, 3),
    order=st.integers(0, 1000),
)


@cache
def train_node(name: str) -> Node:
    graph = api.compiled(api.check_text(program(name)))
    [node] = [node for node in graph.nodes.values() if node.kind == "train"]
    return node


def models_of(node: Node, dtype: torch.dtype) -> dict[str, PreTrainedModel]:
    """A model of the right head for each role."""
    asked = [leaf for term in node.settings["terms"] for leaf in leaves(term["loss"], term["source"])]
    heads = {model: head for head, model, _, _ in asked}
    found: dict[str, PreTrainedModel] = {}
    for seed, name in enumerate(node.settings["models"], start=1):
        model = tiny_model(seed, dtype)
        if heads.get(name, "language") != "language":
            config = model.config
            config.num_labels, config.pad_token_id = 1, VOCABULARY - 1
            torch.manual_seed(seed)
            model = HEADED[heads[name]](config).to(dtype).eval()
        found[name] = model
    return found


def ordered(groups: Mapping[str, Groups], seed: int | None) -> dict[str, Groups]:
    """The prompts of all sources in one other order, and the attempts at each in another."""
    if seed is None:
        return dict(groups)
    chance = random.Random(seed)
    prompts = list(range(len(next(iter(groups.values())))))
    chance.shuffle(prompts)
    return {
        source: [chance.sample(own[prompt], len(own[prompt])) for prompt in prompts] for source, own in groups.items()
    }


def gradient(
    node: Node, models: Mapping[str, PreTrainedModel], groups: Mapping[str, Groups], way: Way, tmp: Any
) -> Any:
    """Loss and gradient, summed over the processes; and what is measured."""
    training = Training.of(node.settings)
    [loss] = training.losses
    double = next(iter(models.values())).dtype == torch.float64
    placement = Placement(micro_batch=way.micro_batch, packing=way.packing)
    flows = {source: MemoryFlow(list(own)) for source, own in groups.items()}
    batches: dict[str, Batch] = {source: collate(own) for source, own in ordered(groups, way.order).items()}
    if double:
        batches = {source: doubled(batch) for source, batch in batches.items()}
    for model in models.values():
        model.zero_grad()
    total, measured = 0.0, [Measurements(training.losses, training.trained) for _ in range(way.processes)]
    for index in range(way.processes):
        ranks = Ranks(index, way.processes)
        context = Stage.at(tmp).context(replace(node, inputs={}))
        trainer = Trainer(training, models, flows, context, placement, ranks=ranks)
        total += trainer._accumulate(loss, batches, measured[index])
    flat = [
        (torch.zeros_like(one) if one.grad is None else one.grad).flatten()
        for name in training.trained
        for one in models[name].parameters()
    ]
    sums = [sum(own) for own in zip(*(each.sums for each in measured), strict=True)]
    extremes = [max(own) for own in zip(*(each.extremes for each in measured), strict=True)]
    return total, torch.cat(flat), measured[0].metrics(sums, extremes)


def differences(name: str, way: Way, dtype: torch.dtype, tmp: Any) -> tuple[float, float]:
    """Of the loss and of the gradient, each as a share."""
    node = train_node(name)
    sources = Training.of(node.settings).losses[0].sources
    groups = dict(zip(sources, groups_of(name), strict=True))
    models = models_of(node, dtype)
    loss, whole, metrics = gradient(node, models, groups, Way(), tmp)
    again, same, also = gradient(node, models, groups, way, tmp)
    assert float(whole.norm()) > 1e-4
    assert also == pytest.approx(metrics, rel=1e-4, abs=1e-5)
    return abs(again - loss) / max(1.0, abs(loss)), float((same - whole).norm() / whole.norm())


def within(off: tuple[float, float], dtype: torch.dtype) -> bool:
    return all(found <= most for found, most in zip(off, TOLERANCE[dtype], strict=True))


LAW = settings(
    deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@settings(parent=LAW, max_examples=6)
@given(way=ways)
def test_a_batch_has_one_gradient(name: str, way: Way, tmp_path_factory: pytest.TempPathFactory) -> None:
    off = differences(name, way, torch.float64, tmp_path_factory.mktemp("law"))
    assert within(off, torch.float64), (way, off)


@settings(parent=LAW, max_examples=3)
@given(name=st.sampled_from(NAMES), way=ways)
def test_some_objectives_in_float32(name: str, way: Way, tmp_path_factory: pytest.TempPathFactory) -> None:
    off = differences(name, way, torch.float32, tmp_path_factory.mktemp("law"))
    assert within(off, torch.float32), (name, way, off)
