"""The compiler in one function: parse, elaborate, check, lower, run the passes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from ptc.compiler import checks, core
from ptc.compiler.absent import note_absent
from ptc.compiler.allowances import judge, note_unused
from ptc.compiler.catalogue import Catalogue
from ptc.compiler.elaborate import Elaborator
from ptc.compiler.findings import Absent, Findings
from ptc.compiler.graph import Graph
from ptc.compiler.imports import Library
from ptc.compiler.scope import Objective
from ptc.lang import ast
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.parse import parse
from ptc.lang.source import Source


@dataclass(frozen=True)
class Checked:
    """A program after the checker: its tree, its core, and everything that was found, in the order of the text."""

    tree: ast.Program
    program: core.Program
    diagnostics: tuple[Diagnostic, ...]
    typed: tuple[core.Source | core.Model | core.Role, ...] = ()
    """What single expressions turned out to be, also where the program around them is not whole."""
    accepted: tuple[Diagnostic, ...] = ()
    """What was found and is allowed."""
    absent: tuple[Absent, ...] = ()
    """What the program names and nobody has looked at."""

    @property
    def sound(self) -> bool:
        """Whether a plan may be made of it."""
        return not any(diagnostic.severity == "error" for diagnostic in self.diagnostics)


def check(source: Source, catalogue: Catalogue, settings: Mapping[str, str] | None = None) -> Checked:
    """Parses, elaborates and checks a program. Never raises for any text."""
    tree, syntax = parse(source)
    findings = Findings(list(syntax))
    elaborated = Elaborator(catalogue, library(catalogue), settings or {}, findings).program(tree)
    program = elaborated.program
    note_absent(findings, catalogue.fetched)
    if catalogue.lock_problem is not None:
        findings.add("D403", catalogue.lock_problem, [], helps=["ptc lock FILE"])
    if elaborated.whole:
        checks.check(program, findings, catalogue.placement)
        note_unused(program.allows, findings)
    judged = judge(findings.found, program.allows)
    found = _in_order(judged.kept, source)
    return Checked(tree, program, found, tuple(findings.typed), judged.accepted, tuple(findings.absent))


def compile_graph(program: core.Program) -> Graph:
    """Lowers a checked program and runs the passes."""
    from ptc.compiler.lower import lower
    from ptc.compiler.passes import PASSES

    graph = lower(program)
    for run in PASSES:
        graph = run(graph)
    return graph


def library(catalogue: Catalogue) -> Library:
    """The objectives of the standard library, from the texts that the catalogue holds."""
    return Library({"std.objectives": Shelf(tuple(catalogue.library.values()))}, catalogue.recipes)


class Shelf(Mapping[str, Objective]):
    """Objectives by name; a text is parsed when one of its objectives is first asked for."""

    def __init__(self, texts: tuple[Source, ...]) -> None:
        self._texts = {name: text for text in texts for name in HEAD.findall(text.text)}

    def __getitem__(self, name: str) -> Objective:
        return _objectives(self._texts[name])[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


HEAD = re.compile(r"^objective\s+(\w+)", re.MULTILINE)


@cache
def _objectives(text: Source) -> Mapping[str, Objective]:
    tree, found = parse(text)
    assert not found, f"the library file {text.path} does not parse"
    return {node.name.id: Objective(node) for node in tree.statements if isinstance(node, ast.Objective)}


def _in_order(found: list[Diagnostic], text: Source) -> tuple[Diagnostic, ...]:
    """In the order of the program's text: what is found elsewhere stands where the program leads to it."""

    def place(diagnostic: Diagnostic) -> int:
        own = (label.span.start for label in diagnostic.labels if label.span.text in (text, None))
        return next(own, -1)

    return tuple(sorted(found, key=place))
