"""Every objective of the library is at home in some program, and says what it does in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy_references
import pytest
import torch
from loss_cases import VOCABULARY, pairs, rollouts
from suitable import CALLS, NAMES, program

from ptc import api
from ptc.compiler.executable import unsupported
from ptc.lang.render import render_all
from ptc.runtime.batches import Sample, collate
from ptc.runtime.loss import Loss


def test_every_objective_has_a_program() -> None:
    assert set(CALLS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_checks(name: str) -> None:
    result = api.check_text(program(name))
    assert result.checked is not None
    errors = [found for found in result.diagnostics if found.severity == "error"]
    assert not errors, render_all(result.diagnostics, result.source)
    [stage] = result.checked.program.stages
    assert stage.terms[0].objective == name
    assert not stage.terms[0].loss.axes
    assert any(role.verb == "train" for part in stage.terms[0].loss.walk() for role in part.models)


LEFT_OUT = {
    "a head that the runtime has not got": {"bradley_terry", "prm", "ppo"},
    "steps of a process": {"process_sum", "process_min"},
    "two sources": {"luffy"},
    "a context of the teacher's own": {"context_distillation", "self_distillation"},
    "whole texts": {"pretrain"},
}
"""Objectives that the checker knows in full and the runtime refuses, by what it lacks."""
REFUSED = frozenset().union(*LEFT_OUT.values())
EVALUATED = sorted(set(NAMES) - REFUSED)


def batch_of(name: str) -> list[list[Sample]]:
    """Groups of unequal size and length with every number that an objective reads; or pairs."""
    if "pairs" in CALLS[name][0]:
        return pairs(11)
    generator = torch.Generator().manual_seed(3)
    return [
        [
            Sample(
                sample.sequences,
                {**sample.numbers, "label": float(torch.rand(1, generator=generator) > 0.5), "route": float(place % 3)},
                sample.token_numbers,
            )
            for sample in group
        ]
        for place, group in enumerate(rollouts(11))
    ]


def in_the_order_of(groups: list[list[Sample]], parts: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """Parts of a batch, whose samples stand from short to long, as the samples were drawn."""
    lengths = [sample.length for group in groups for sample in group]
    drawn = sorted(range(len(lengths)), key=lambda i: lengths[i])
    return [parts[drawn.index(i)].numpy() for i in range(len(lengths))]


@pytest.mark.parametrize("name", EVALUATED)
def test_it_is_its_reference(name: str) -> None:
    """Value, and slope along a random direction of the learner's logits, in float64."""
    graph = api.compiled(api.check_text(program(name)))
    [stage] = [node for node in graph.nodes.values() if node.kind == "train"]
    [term] = stage.settings["terms"]
    roles = {
        canonical: "now" if canonical == "m0" else stage.names[canonical] for canonical in stage.settings["models"]
    }
    groups = batch_of(name)
    batch = collate(groups)
    batch = replace(
        batch,
        numbers={key: column.double() for key, column in batch.numbers.items()},
        token_numbers={key: column.double() for key, column in batch.token_numbers.items()},
    )
    generator = torch.Generator().manual_seed(5)
    logits = {
        (model, column): torch.randn(
            len(sequences.tokens), VOCABULARY, generator=generator, dtype=torch.float64
        ).requires_grad_(model == "m0")
        for model in roles
        for column, sequences in batch.sequences.items()
    }
    loss = Loss([(1.0, term["loss"])])
    value = loss.part(
        loss.prepare(batch), 0, batch.samples, lambda model, columns, _: [logits[model, column] for column in columns]
    ).loss
    value.backward()
    directions = {column: torch.randn(logits["m0", column].shape, generator=generator) for column in batch.sequences}
    slope = sum(
        float((gradient * directions[column]).sum())
        for column in batch.sequences
        if (gradient := logits["m0", column].grad) is not None
    )

    def reference(step: float) -> float:
        moved = {("now", column): logits["m0", column].detach() + step * way for column, way in directions.items()}
        still = {
            ("then" if role == "now" else role, column): logits[model, column].detach()
            for model, role in roles.items()
            for column in batch.sequences
        }
        split = {
            key: in_the_order_of(groups, torch.split(tensor, batch.sequences[key[1]].lengths.tolist()))
            for key, tensor in {**moved, **still}.items()
        }
        return float(getattr(numpy_references, name)(numpy_references.World(groups, split)))

    assert float(value.detach()) == pytest.approx(reference(0.0), rel=1e-6, abs=1e-9)
    expected = (reference(1e-6) - reference(-1e-6)) / 2e-6
    assert abs(expected) > 1e-6
    assert slope == pytest.approx(expected, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_run_is_refused(name: str) -> None:
    result = api.check_text(program(name))
    assert result.checked is not None
    [stage] = result.checked.program.stages
    refused = [found.title for found in unsupported(replace(result.checked.program, sources=(), stages=(stage,)))]
    of_the_loss = [title for title in refused if "an objective" in title or "context" in title or "second" in title]
    assert bool(of_the_loss) == (name in REFUSED)
