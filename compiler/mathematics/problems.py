"""What is wrong with a loss. The caller knows where the reader should be sent."""

from __future__ import annotations

from dataclasses import dataclass

from ptc.lang.source import Span


@dataclass(eq=False)
class Problem(Exception):
    """A finding without the call that it belongs to."""

    code: str
    title: str
    span: Span
    label: str
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()


@dataclass(eq=False)
class MissingModel(Exception):
    """A model that was not given is needed after all."""

    name: str
    span: Span
