"""Equality of trees: what they say, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from ptc.lang.ast import Node
from ptc.lang.source import Source, Span


def same(one: object, other: object) -> bool:
    """Whether two trees (or parts of them) are equal but for places and the text they come from."""
    pairs = [(one, other)]
    while pairs:
        a, b = pairs.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, Span | Source):
            continue
        if isinstance(a, Node):
            pairs += [(getattr(a, field.name), getattr(b, field.name)) for field in fields(a)]
        elif isinstance(a, tuple) and isinstance(b, tuple):
            if len(a) != len(b):
                return False
            pairs += zip(a, b, strict=True)
        elif a != b:
            return False
    return True


def walk(tree: object) -> Iterator[Node]:
    """Every node of a tree, itself included, in no promised order."""
    rest = [tree]
    while rest:
        here = rest.pop()
        if isinstance(here, Node):
            yield here
            rest += [getattr(here, field.name) for field in fields(here)]
        elif isinstance(here, tuple):
            rest += here
