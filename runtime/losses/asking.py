"""What models say of micro-batches, with their weights as they are; and of whole batches, to be kept.

Legend: S samples, T steps, N tokens that bear loss, V vocabulary.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import torch

from ptc.runtime.batches import Batch, Sample, collate, in_order_of_length
from ptc.runtime.distributions import Kept, written
from ptc.runtime.forward import Answer, Predictions
from ptc.runtime.losses.evaluation import Evaluation, Reading
from ptc.runtime.losses.place import Place
from ptc.runtime.losses.tree import Asked, Expression


class Forward(Protocol):
    """Runs a model once over columns of a micro-batch, each named as in `Batch.sequences`.

    It gives for each column, with gradient if the model is trained, what the model's head says: the predictions of its
    tokens (or their logits (N, V)), values (N,), or scores, one per text (S,) or per step (T,).
    """

    def __call__(self, model: str, columns: Sequence[str], batch: Batch) -> Sequence[Answer]: ...


Cut = Callable[[Sequence[int]], Iterable[tuple[int, int]]]
"""The micro-batches of samples with these lengths: from which to before which sample."""


def said(leaves: Iterable[Expression], batches: Mapping[str, Batch], forward: Forward) -> dict[Reading, Answer]:
    """What models say of micro-batches: each model runs once per source, for all that it is asked there."""
    read: dict[tuple[str, str], dict[str, Asked]] = defaultdict(dict)
    for leaf in leaves:
        assert leaf.asked is not None
        read[leaf.asked.model, leaf.asked.source][leaf.asked.reading] = leaf.asked
    found: dict[Reading, Answer] = {}
    for (model, source), readings in sorted(read.items()):
        columns, batch = sorted(readings), batches[source]
        nothing = torch.zeros(0, device=batch.prompt.device)
        spoken = forward(model, columns, batch) if batch.samples else [nothing] * len(columns)
        for column, answer in zip(columns, spoken, strict=True):
            found[model, source, column] = _answer(readings[column], answer)
    return found


def _answer(asked: Asked, answer: Answer) -> Answer:
    """Logits, which may stand for the predictions of a language head, as such; nothing, as nothing of a vocabulary."""
    if asked.op not in ("logp", "logp_all") or isinstance(answer, Predictions):
        return answer
    return Predictions.of_logits(answer if answer.dim() == 2 else answer.unsqueeze(-1))


@torch.no_grad()
def keeping(batch: Batch, leaves: Sequence[Expression], forward: Forward, cut: Cut) -> Batch:
    """The batch of a source with what models say of it now, micro-batch by micro-batch, beside its sequences."""
    found: dict[Expression, list[torch.Tensor]] = {leaf: [] for leaf in leaves}
    for start, stop in cut(batch.widths) if leaves else ():
        batches = {leaf.source: batch.slice(start, stop) for leaf in leaves}
        evaluation = Evaluation(Place(batches, {}, 0), {}, said(leaves, batches, forward))
        for leaf, values in found.items():
            values.append(evaluation.said(leaf))
    sequences = dict(batch.sequences)
    for leaf, values in found.items():
        assert leaf.asked is not None
        if values:
            own, name = sequences[leaf.asked.reading], leaf.asked.kept_as
            kept = {name: torch.cat(values)}
            ends = leaf.op == "score"
            sequences[leaf.asked.reading] = (
                replace(own, kept_ends={**own.kept_ends, **kept}) if ends else replace(own, kept={**own.kept, **kept})
            )
    return replace(batch, sequences=sequences)


def with_kept(
    groups: Sequence[Sequence[Sample]],
    leaves: Sequence[Expression],
    forward: Forward,
    cut: Cut,
    device: torch.device,
) -> list[list[Sample]]:
    """Samples that keep what models say of them now."""
    batch = keeping(collate(groups).to(device), leaves, forward, cut)
    renewed: dict[int, Sample] = {}
    for place, (_, sample) in enumerate(in_order_of_length(groups)):
        own = batch.slice(place, place + 1).sequences
        tokens = {name: _listed(sequences.kept) for name, sequences in own.items()}
        ends = {name: _listed(sequences.kept_ends) for name, sequences in own.items()}
        renewed[id(sample)] = replace(sample, kept=tokens, kept_ends=ends)
    return [[renewed[id(sample)] for sample in group] for group in groups]


def _listed(values: Mapping[str, torch.Tensor]) -> dict[str, Kept]:
    return {name: written(value) for name, value in values.items()}
