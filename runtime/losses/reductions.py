"""Reductions over named axes: packed values, into the samples or prompts that they belong to."""

from __future__ import annotations

import torch

from ptc.runtime.losses.place import Place
from ptc.runtime.losses.tree import ONE, Expression


def reduced(value: torch.Tensor, arg: Expression, node: Expression, place: Place) -> torch.Tensor:
    """The value of the reduction `node` of `arg`, whose value is given."""
    match node.op:
        case "sum":
            return _summed(value, arg, node, place)
        case "count":
            return _summed(torch.ones_like(value), arg, node, place)
        case "min_over" | "max_over":
            return _extreme(value, arg, node, place)
        case "mean":
            return _summed(value, arg, node, place) / _count(value, arg, node, place)
        case _:
            return _spread(value, arg, node, place)


def _summed(value: torch.Tensor, arg: Expression, node: Expression, place: Place) -> torch.Tensor:
    """Sums over the axes of `arg` that `node` no longer has."""
    if "vocab" in node.over:
        value = value.sum(-1)
    if arg.layout == node.layout:
        return value
    if node.layout == ONE:
        return value.sum(0)
    into = place.rows(arg, node.layout)
    return value.new_zeros(place.size(node), *value.shape[1:]).index_add(0, into, value)


def _count(value: torch.Tensor, arg: Expression, node: Expression, place: Place) -> torch.Tensor:
    """How many values were summed, shaped to divide the sum."""
    count = place.count(arg, node.layout)
    if "vocab" in node.over:
        return count * value.shape[-1]
    return count.unsqueeze(-1) if "vocab" in node.axes and count.dim() else count


def _spread(value: torch.Tensor, arg: Expression, node: Expression, place: Place) -> torch.Tensor:
    """n - 1 in the denominator; the spread of a single value is 0."""
    count = _count(value, arg, node, place)
    mean = _summed(value, arg, node, place) / count
    squares = (value - place.lift(mean, node, arg)) ** 2
    variance = _summed(squares, arg, node, place) / (count - 1).clamp(min=1)
    # The square root has no derivative at 0, where a spread may well stand.
    return torch.where(variance > 0, variance, 1).sqrt() * (variance > 0)


def _extreme(value: torch.Tensor, arg: Expression, node: Expression, place: Place) -> torch.Tensor:
    """The least or the greatest over the axes of `arg` that `node` no longer has; 0 where there is none."""
    largest = node.op == "max_over"
    if "vocab" in node.over:
        value = value.amax(-1) if largest else value.amin(-1)
    if arg.layout == node.layout:
        return value
    rows = 1 if node.layout == ONE else place.size(node)
    into = value.new_zeros(len(value), dtype=torch.long) if node.layout == ONE else place.rows(arg, node.layout)
    empty = value.new_full((rows, *value.shape[1:]), float("-inf") if largest else float("inf"))
    found = empty.scatter_reduce(
        0, into.view(-1, *[1] * (value.dim() - 1)).expand_as(value), value, "amax" if largest else "amin"
    )
    found = torch.where(found.isinf(), 0, found)
    return found[0] if node.layout == ONE else found
