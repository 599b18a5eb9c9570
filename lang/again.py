"""A tree once more, for another reading: the body of a recipe is read at every call, a file where it is imported."""

from __future__ import annotations

from typing import Any, TypeVar

from ptc.lang.ast import Node
from ptc.lang.source import Span, Via

Tree = TypeVar("Tree", bound=Node)


def again(tree: Tree, via: Via) -> Tree:
    """A copy of a tree whose places say how the program comes to them."""
    copy: Tree = object.__new__(type(tree))
    copy.__dict__.update({name: _copied(value, via) for name, value in tree.__dict__.items()})
    return copy


def _copied(value: Any, via: Via) -> Any:
    if isinstance(value, Node):
        return again(value, via)
    if isinstance(value, Span):
        return Span(value.start, value.end, value.text, via)
    return tuple(_copied(item, via) for item in value) if isinstance(value, tuple) else value
