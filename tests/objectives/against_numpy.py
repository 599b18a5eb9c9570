"""An objective of the library against its reference in NumPy and float64, and against finite differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy_references
import torch
from loss_cases import VOCABULARY
from objective_batches import Groups, groups_of
from suitable import program

from ptc import api
from ptc.runtime.batches import Batch, collate, reading
from ptc.runtime.loss import losses_of


@dataclass(frozen=True)
class Compared:
    """The compiled loss and its slope along a random direction, and what they should be."""

    value: float
    slope: float
    reference: float
    difference: float
    """The reference's central difference along the same direction."""


def leaves(document: dict[str, Any], source: str) -> Iterator[tuple[str, str, str, str]]:
    """What models are asked: the head that answers, the model, the source, and the name of the text that it reads."""
    if "model" in document:
        name = reading(document["column"], document.get("given", ""), document.get("tokenizer", ""))
        head = {"value": "value", "score": "reward"}.get(document["op"], "language")
        yield head, document["model"], document.get("source", source), name
    for arg in document.get("args", ()):
        yield from leaves(arg, source)


def in_the_order_of(groups: Groups, parts: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """Parts of a batch, whose samples stand from short to long, as the samples were drawn."""
    lengths = [sample.length for group in groups for sample in group]
    drawn = sorted(range(len(lengths)), key=lambda i: lengths[i])
    return [parts[drawn.index(i)].numpy() for i in range(len(lengths))]


def doubled(batch: Batch) -> Batch:
    columns = ("numbers", "token_numbers", "step_numbers")
    return replace(
        batch, **{name: {key: each.double() for key, each in getattr(batch, name).items()} for name in columns}
    )


def compared(name: str) -> Compared:
    """The value of an objective, and its slope along a random direction of what the learners say, in float64."""
    graph = api.compiled(api.check_text(program(name)))
    [stage] = [node for node in graph.nodes.values() if node.kind == "train"]
    [term] = stage.settings["terms"]
    [loss] = losses_of([term])
    groups = dict(zip(loss.sources, groups_of(name), strict=True))
    batches = {source: doubled(collate(own)) for source, own in groups.items()}
    trained = [model for model, bound in stage.settings["models"].items() if bound["as"] == "train"]
    generator = torch.Generator().manual_seed(5)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    said: dict[tuple[str, str, str], torch.Tensor] = {}
    for head, model, source, column in sorted(set(leaves(term["loss"], term["source"]))):
        sequences = batches[source].sequences[column]
        count = int(sequences.end_lengths.sum()) if head == "reward" else len(sequences.tokens)
        vocabulary = VOCABULARY if sequences.met is None else VOCABULARY + 6
        shape = (count, vocabulary) if head == "language" else (count,)
        said[model, source, column] = random(*shape).requires_grad_(model in trained)
    directions = {key: random(*answer.shape) for key, answer in said.items() if answer.requires_grad}

    def forward(model: str, columns: Sequence[str], batch: Batch) -> list[torch.Tensor]:
        [source] = [source for source, own in batches.items() if own.samples == batch.samples]
        return [said[model, source, column] for column in columns]

    value = loss.whole(loss.prepare(batches), forward).loss
    value.backward()
    slope = sum(
        float((gradient * way).sum()) for key, way in directions.items() if (gradient := said[key].grad) is not None
    )

    def of_each_sample(source: str, column: str, answer: torch.Tensor) -> list[np.ndarray]:
        sequences = batches[source].sequences[column]
        lengths = sequences.lengths if len(answer) == len(sequences.tokens) else sequences.end_lengths
        return in_the_order_of(groups[source], torch.split(answer.detach(), lengths.tolist()))

    def reference(step: float) -> float:
        worlds = {source: numpy_references.World(own, {}) for source, own in groups.items()}
        for (model, source, column), answer in said.items():
            role = "now" if model == "m0" else stage.names[model]
            still = "then" if model == "m0" else f"{role} then"
            way = directions.get((model, source, column))
            moved = answer if way is None else answer.detach() + step * way
            worlds[source].said[role, column] = of_each_sample(source, column, moved)
            worlds[source].said[still, column] = of_each_sample(source, column, answer)
        return numpy_references.formula(name)(*worlds.values())

    return Compared(float(value.detach()), slope, reference(0.0), (reference(1e-6) - reference(-1e-6)) / 2e-6)
