"""One step at work: what flows in, how it is called, and where its names are looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ptc.compiler import core
from ptc.compiler.arguments import Bound
from ptc.compiler.findings import Findings, at
from ptc.compiler.graph import Json
from ptc.compiler.rows import Value, columns_of, row_expression
from ptc.compiler.scope import Scope
from ptc.compiler.values import Unknown
from ptc.lang import ast
from ptc.lang.source import Span

if TYPE_CHECKING:
    from ptc.compiler.flows import Flows


@dataclass(frozen=True)
class Step:
    """A call such as ``|> keep(.reward == 1)`` and the rows that flow into it."""

    name: str
    rows: core.Source
    call: ast.Call
    bound: Bound
    settings: Mapping[str, Json]
    """Its constant arguments, defaults filled in."""
    scope: Scope
    flows: Flows = field(repr=False)

    @property
    def type(self) -> core.Trajectories:
        return self.rows.type

    @property
    def findings(self) -> Findings:
        return self.scope.findings

    def place(self, argument: str) -> Span:
        """Where an argument is written; the whole call where it is not."""
        given = self.bound.given.get(argument)
        return given.span if given is not None else self.call.span

    def row(self, argument: str) -> Value | Unknown:
        """The row expression that an argument is."""
        return row_expression(self.bound.given[argument], self.rows, self.scope)

    def made(
        self,
        kind: core.Trajectories,
        settings: Mapping[str, Json],
        inputs: Mapping[str, core.Input] | None = None,
    ) -> core.Source:
        """The source that the step yields; by default it has one input, the rows."""
        given = {"rows": self.rows} if inputs is None else inputs
        return core.Source(self.name, settings, given, kind, self.call.span, places=dict(self.bound.spans))

    def has_prompts(self) -> bool:
        """Whether there are prompts to work on; reports it if not."""
        if self.type.has("prompt"):
            return True
        self.findings.add(
            "T101",
            "these rows have no prompts yet",
            [at(self.call.span, "works on prompts"), at(self.rows.span, "the rows come from here")],
            [f"their columns are {', '.join(f'`{column}`' for column in self.type.columns)}"],
            ["|> prompts(.question, answer = .answer)"],
        )
        return False

    def has_responses(self, title: str) -> bool:
        """Whether anybody has responded; reports it if not."""
        if self.type.provenance is not None or self.type.open:
            return True
        self.findings.add(
            "T106",
            f"{title}, and these rows have none",
            [at(self.call.span, "no responses here"), at(self.rows.span, "prompts only")],
            helps=["|> sample(policy, n = 8, max_tokens = 64)", "|> respond(.answer)"],
        )
        return False

    def out_of_order(self, title: str, label: str, why: str, other: Span, helps: list[str]) -> None:
        """Reports a step that stands in the wrong place."""
        self.findings.add("N130", title, [at(self.call.span, label), at(other, why)], helps=helps)


OF_AN_ATTEMPT = frozenset({"response", "logprobs", "reward", "group", "steps", "step_labels", "step_rewards"})
"""Columns that differ between the attempts at one prompt."""
RESPONDED = frozenset({"response", "completion", "chosen", "rejected", "messages", "completions", "steps", "text"})
"""Columns that somebody has written who is not the prompt's author."""


def author_of(document: Json, rows: core.Source) -> core.Provenance:
    """Who wrote what a row expression gives: whoever wrote the responses, if it is made of them; else somebody outside,
    by the name that the rows' origins state."""
    who = rows.type.provenance
    if who is not None and (isinstance(who, core.External) or columns_of(document) & RESPONDED):
        return who
    stated = dict.fromkeys(origin.type.provenance for origin in origins(rows))
    named = [each for each in stated if isinstance(each, core.External) and each.by is not None]
    return named[0] if len(named) == 1 else core.External()


def origins(rows: core.Source) -> Iterator[core.Source]:
    """Where the rows of a source come from."""
    if not rows.parts:
        yield rows
    for part in rows.parts:
        yield from origins(part)


Make = Callable[[Step], core.Source | None]
"""What gives the source that a step yields; None after a report."""


def with_types(kind: core.Trajectories, types: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    """The types of columns after some have been written anew; None: no longer known."""
    known: dict[str, str | None] = {**dict(kind.column_types), **types}
    return tuple((name, found) for name, found in known.items() if found is not None)
