"""What columns really hold, against what is read of them: values of another type, none at all, rows lost on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.lang.source import Span
from ptc.probes.drawing import Drawn, columns_of
from ptc.probes.view import View
from ptc.probes.wording import examples, excerpt, named, share
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.expressions import evaluate
from ptc.runtime.row_steps import prompt_id
from ptc.runtime.tables import column


def check_types(view: View, findings: Findings) -> None:
    """T110: a column that a loss or a verifier reads as a number or a text, and that holds something else."""
    for lesson in view.lessons:
        drawn = view.drawer.rows(lesson.source)
        if drawn is None or lesson.source.live is not None:
            continue
        for name in lesson.numbers:
            wrong = _wrong(drawn, name, (bool, int, float))
            if wrong:
                _report(view, findings, drawn, name, wrong, "a number", lesson.place, lesson.source.span)
    for judged, source, place in _scored(view):
        drawn = view.drawer.prompts(source)
        if drawn is None:
            continue
        for name in judged.columns:
            wrong = _wrong(drawn, name, (str, int, float))
            if wrong:
                _report(view, findings, drawn, name, wrong, "a text or a number", place, source.span)


def _scored(view: View) -> Iterator[tuple[core.Scorer, core.Source, Span]]:
    """Every verifier with the rows that it judges, once for each place."""
    seen: set[Span] = set()
    for source, scorers in scored_sources(view.program):
        for scorer in scorers:
            if scorer.kind == "verifier" and scorer.span not in seen:
                seen.add(scorer.span)
                yield scorer, source, scorer.span


def scored_sources(program: core.Program) -> Iterator[tuple[core.Source, tuple[core.Scorer, ...]]]:
    """Rows and what judges them: at each `score` step, and in each eval."""
    taken: set[int] = set()
    everything = (*program.sources, *(source for stage in program.stages for source in _fed(stage)))
    for source in everything:
        for step in source.upstream():
            below = step.inputs.get("rows")
            if step.kind == "score" and isinstance(below, core.Source) and id(step) not in taken:
                taken.add(id(step))
                yield below, step.type.scorers
    for measured in program.evals:
        yield measured.source, measured.scorers


def _fed(stage: core.Stage) -> Iterator[core.Source]:
    for term in stage.terms:
        yield from term.sources.values() or (term.source,)
    for gate in stage.gates:
        if isinstance(gate.subject, core.Source):
            yield gate.subject


def _wrong(drawn: Drawn, name: str, kinds: tuple[type, ...]) -> list[tuple[int, str]]:
    if name not in drawn.table.column_names:
        return []
    values: list[Any] = drawn.table.column(name).to_pylist()
    strange = [(row, value) for row, value in enumerate(values) if value is not None and not isinstance(value, kinds)]
    return [(row, f"`.{name}` is {_kind(value)}, {excerpt(str(value))}") for row, value in strange]


def _kind(value: Any) -> str:
    kinds = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a record"}
    return kinds.get(type(value), type(value).__name__)


def _report(
    view: View,
    findings: Findings,
    drawn: Drawn,
    name: str,
    wrong: Sequence[tuple[int, str]],
    wanted: str,
    place: Span,
    origin: Span,
) -> None:
    findings.add(
        "T110",
        f"`.{name}` is read as {wanted}, and in {share(len(wrong), len(drawn))} it is none",
        [at(place, f"reads `.{name}`"), at(origin, "the rows come from here")],
        examples(view.drawer, drawn, wrong),
    )


# Rows that get lost ---------------------------------------------------------------------------------------------------


def check_dropped(view: View, findings: Findings) -> None:
    """D412 as a warning: rows that go missing without the program saying so."""
    taken: set[int] = set()
    for lesson in view.lessons:
        for step in lesson.source.upstream():
            below = step.inputs.get("rows")
            if id(step) in taken or not isinstance(below, core.Source):
                continue
            taken.add(id(step))
            drawn = view.drawer.rows(below)
            if drawn is not None and step.kind == "prompts":
                _same_prompts(view, findings, step, drawn)
            elif drawn is not None and step.kind in ("keep", "only"):
                _nothing_to_filter(view, findings, step, drawn)


def _same_prompts(view: View, findings: Findings, step: core.Source, drawn: Drawn) -> None:
    """Of rows with one prompt the first is kept, whatever the others say."""
    try:
        values = {name: evaluate(document, drawn.table) for name, document in step.settings["columns"].items()}
        known = [prompt_id(prompt) for prompt in values["prompt"]]
    except (InputWrong, TypeError, KeyError):  # said where the step is taken
        return
    first: dict[str, int] = {}
    lost = [
        (row, f"says {excerpt(_other(values, row))} after {excerpt(_other(values, first[prompt]))}")
        for row, prompt in enumerate(known)
        if first.setdefault(prompt, row) != row and _other(values, row) != _other(values, first[prompt])
    ]
    if lost:
        findings.add(
            "D412",
            f"`prompts` keeps the first row of each prompt: {share(len(lost), len(drawn))} say otherwise, and are lost",
            [at(step.span, "one row per prompt")],
            examples(view.drawer, drawn, lost),
            severity="warning",
        )


def _other(values: dict[str, list[Any]], row: int) -> str:
    return ", ".join(str(items[row]) for name, items in values.items() if name != "prompt")


def _nothing_to_filter(view: View, findings: Findings, step: core.Source, drawn: Drawn) -> None:
    """A condition on a value that is not there holds for no row."""
    for name in dict.fromkeys(columns_of(step.settings["where"])):
        if name not in drawn.table.column_names:
            continue
        absent = [row for row, value in enumerate(column(drawn.table, name)) if value is None]
        if absent and len(absent) < len(drawn):
            findings.add(
                "D412",
                f"`{step.kind}` drops {share(len(absent), len(drawn))} of {named(step)} that have no `.{name}`",
                [at(step.span, f"asks for `.{name}`")],
                examples(view.drawer, drawn, [(row, f"there is no `.{name}`") for row in absent]),
                severity="warning",
            )
