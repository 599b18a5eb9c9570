"""A loss that is written in Python (`extern objective`): called on a micro-batch, and what it gives looked at.

It gives one value per sample, whose mean over the whole batch is the loss, or a number, its share of a sum.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import InputWrong, InvariantBroken
from ptc.runtime.batches import Batch
from ptc.runtime.externs import load, named, told_of
from ptc.runtime.losses.handed import Source, Values, models_of
from ptc.runtime.losses.place import Place
from ptc.runtime.losses.tree import Course, Expression


def share(node: Expression, place: Place, values: Values) -> torch.Tensor:
    """The share of a micro-batch in a loss that is written in Python; of no sample it is 0.

    Raises `InputWrong` for a function that raises, or gives what is no loss, and `InvariantBroken` for what is not
    finite.
    """
    assert node.outside is not None
    outside = node.outside
    if not any(place.batches[source.source].samples for source in node.args):
        return torch.zeros((), device=place.device)
    function = load(outside.target)
    sources = {source.rows.name: Source(source, place, values) for source in node.args if source.rows is not None}
    numbers = {
        name: number.at(place.step) if isinstance(number, Course) else number for name, number in outside.numbers
    }
    with told_of(outside.target, function):
        given = function(**sources, **models_of(node, values), **dict.fromkeys(outside.absent), **numbers)
    return _looked_at(given, node, place, named(outside.target, function))


def refuse_uncallable(terms: Sequence[Json]) -> None:
    """Raises `InputWrong`, before anything is loaded, for functions that are not there or take other arguments."""
    for document in outside_of(terms):
        function = load(document["target"])
        sources = [source["name"] for source in document["args"]]
        parameters = [*sources, *document["roles"], *document["absent"], *document["numbers"]]
        try:
            inspect.signature(function).bind(**dict.fromkeys(parameters))
        except TypeError as problem:
            name = document["target"].partition(":")[2]
            raise InputWrong(
                f"{named(document['target'], function)} does not take what its head declares ({problem}): "
                f"def {name}({', '.join(parameters)})"
            ) from problem


def outside_of(terms: Sequence[Json]) -> Iterator[Mapping[str, Json]]:
    """The losses of a stage that are written in Python."""
    yield from (term["loss"] for term in terms if term["loss"]["op"] == "extern")


def _looked_at(given: Any, node: Expression, place: Place, function: str) -> torch.Tensor:
    """The share, a number, that a function's value is."""
    only = place.batches[node.args[0].source] if len(node.args) == 1 else None
    remedy = _remedy(node, None if only is None else only.samples)
    if not isinstance(given, torch.Tensor):
        raise InputWrong(f"{function} gave {type(given).__name__}, and a tensor is wanted: {remedy}")
    if given.dim() and (only is None or tuple(given.shape) != (only.samples,)):
        raise InputWrong(f"{function} gave a tensor of shape {tuple(given.shape)}: {remedy}")
    if not given.is_floating_point():
        raise InputWrong(f"{function} gave a tensor of {given.dtype}, and a loss is of floating point: {remedy}")
    if not given.isfinite().all():
        raise InvariantBroken(
            f"{function} gave a loss that is not finite ({_first_wrong(given)}), weights untouched: keep logarithms "
            "and divisions away from 0, and exponentials small"
        )
    if only is not None and _bears_loss(only) and torch.is_grad_enabled() and not given.requires_grad:
        raise InputWrong(
            f"{function} gave a loss without a gradient: compute it from what a `Trained` model says, without "
            "`detach`, `item` or `no_grad` in between"
        )
    return given if not given.dim() else given.sum() / place.totals[node.args[0].source].samples


def _bears_loss(batch: Batch) -> bool:
    return any(len(sequences.tokens) for sequences in batch.sequences.values())


def _remedy(node: Expression, samples: int | None) -> str:
    rows = node.args[0].rows
    assert rows is not None
    numbers = f"{rows.name}.batch_mean(values)"
    if rows.texts:
        numbers += f", or {rows.name}.{rows.texts[0]}.batch_mean(values) of tokens"
    if samples is None:
        return f"of several sources it is to be a number, {numbers}"
    return f"return one value for each of the {samples} samples, or a number, {numbers}"


def _first_wrong(given: torch.Tensor) -> float:
    return float(given[~given.isfinite()].detach().flatten()[0])
