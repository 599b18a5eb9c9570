"""What a program runs of other people's Python, and whether the run allows it: off unless somebody says so."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.source import Span


def unallowed(program: core.Program, modules: Collection[str]) -> tuple[Diagnostic, ...]:
    """N118: what is written in Python and stands in none of `modules`, where it is first used."""
    refusals = Findings()
    for target, span in dict(reversed(list(_used(program)))).items():
        module = target.partition(":")[0]
        if module in modules:
            continue
        refusals.add(
            "N118",
            f'"{target}" is Python outside of ptc, and this run does not allow it',
            [at(span, "would be called here")],
            ["it would run with your rights, on everything that this process can reach"],
            ["ptc run FILE --allow-extern", f'allow_extern = ["{module}"]'],
        )
    return tuple(refusals.found)


def _used(program: core.Program) -> Iterator[tuple[str, Span]]:
    """Every function that is called, with the places where it is."""
    for stage in program.stages:
        for term in stage.terms:
            for source in term.sources.values() or (term.source,):
                yield from _of_rows(source)
            for part in term.loss.walk():
                if part.op == "extern":
                    yield str(part.fields["target"]), term.span
        for measured in (*(claim.eval for claim in stage.claims), *(watch.eval for watch in stage.watches)):
            yield from _of_eval(measured)
        for gate in stage.gates:
            if isinstance(gate.subject, core.Eval):
                yield from _of_eval(gate.subject)
    for measured in program.reports:
        yield from _of_eval(measured)


def _of_eval(measured: core.Eval) -> Iterator[tuple[str, Span]]:
    yield from _of_rows(measured.source)
    yield from _of_scorers(measured.scorers)


def _of_rows(source: core.Source) -> Iterator[tuple[str, Span]]:
    for step in source.upstream():
        if step.kind == "extern_source":
            yield str(step.settings["target"]), step.span
        elif step.kind == "score":
            yield from _of_scorers(step.type.scorers)


def _of_scorers(scorers: tuple[core.Scorer, ...]) -> Iterator[tuple[str, Span]]:
    for scorer in scorers:
        if scorer.kind == "extern":
            yield str(scorer.document["target"]), scorer.span
