"""V708: whether runs that are compared spent the same and were measured the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ptc.compiler.findings import Findings, at
from ptc.compiler.graph import Graph, Node
from ptc.experiments import matching
from ptc.experiments.measured import MEASURED
from ptc.lang import ast
from ptc.lang.diagnostic import Diagnostic, Label
from ptc.lang.parse import parse
from ptc.lang.source import Source

TOLERANCE = 0.05
"""Share by which trained tokens may differ where steps and samples agree: attempts have lengths of their own
(engineering default)."""


@dataclass(frozen=True)
class Side:
    """One of the runs that are compared, before or after it ran."""

    name: str
    graph: Graph
    source: Source | None = None
    steps: Mapping[str, int] = field(default_factory=dict)
    """Optimizer steps that each stage took, of a run that came to its end."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    """Tokens that each stage learned from, of a run that came to its end."""
    template: str | None = None
    """The chat template of the model that comes out, of a run that came to its end."""
    note: str = ""
    """What makes it another budget by design: said, and no error."""


def unmatched(sides: Sequence[Side], reason: str = "") -> list[Diagnostic]:
    """What makes each of the runs unlike the first. With a reason, and for what is so by design, notes."""
    first, *others = sides
    found: list[Diagnostic] = []
    for other in others:
        own = list(_unlike(first, other))
        why = reason or other.note
        found += [_acknowledged(each, why) if why and each.severity == "error" else each for each in own]
    return found


def _acknowledged(finding: Diagnostic, why: str) -> Diagnostic:
    return replace(finding, severity="note", notes=(*finding.notes, f"acknowledged: {why}"), helps=())


def _unlike(first: Side, other: Side) -> Iterator[Diagnostic]:
    findings = Findings()
    _measures(first, other, findings)
    budgets = _budgets(first, other, findings)
    if first.template is not None and other.template is not None and first.template != other.template:
        _add(findings, f"`{other.name}` is asked through another chat template than `{first.name}`", [], [])
    if not budgets:
        _tokens(first, other, findings)
    yield from findings.found


def _budgets(first: Side, other: Side, findings: Findings) -> bool:
    """Whether the stages learn in different numbers of steps, or from different numbers of samples."""
    both = (_spent(first), _spent(other))
    if None in both[0].values() or None in both[1].values():
        return False
    steps = [sum(each.steps for each in spent.values() if each is not None) for spent in both]
    samples = [sum(each.samples for each in spent.values() if each is not None) for spent in both]
    if steps[0] == steps[1] and samples[0] == samples[1]:
        return False
    unlike = [name for name in both[1] if both[0].get(name) != both[1][name]]
    of = "optimizer steps" if steps[0] != steps[1] else "samples to learn from"
    counts = steps if steps[0] != steps[1] else samples
    _add(
        findings,
        f"`{other.name}` has {counts[1]:,} {of}, and `{first.name}` has {counts[0]:,}",
        [*_settings(other, unlike, "here"), *_settings(first, unlike, "there")],
        ["who learns longer, or from more, is expected to be better: that is no effect of what was changed"],
    )
    return True


def _spent(side: Side) -> dict[str, matching.Learning | None]:
    names = [node.label for node in side.graph.nodes.values() if node.kind == "train"]
    return {name: matching.learning(side.graph, name, side.steps.get(name)) for name in names}


def _settings(side: Side, stages: Sequence[str], where: str) -> Iterator[Label]:
    """The budget, or else the name, of the first of these stages in the text of a run."""
    if side.source is None:
        return
    for stage in parse(side.source)[0].statements:
        if isinstance(stage, ast.Stage) and stage.name.id in stages:
            budget = [
                each for each in stage.body.statements if isinstance(each, ast.Setting) and each.name.id == "budget"
            ]
            spent = _spent(side)[stage.name.id]
            words = f"{where}: {spent.steps:,} steps of {spent.per_step:,} samples" if spent is not None else where
            yield at(budget[0].span if budget else stage.name.span, words)
            return


def _measures(first: Side, other: Side, findings: Findings) -> None:
    """Evals of one name that ask other prompts, ask otherwise, or judge otherwise."""
    theirs = _evals(first.graph)
    for name, node in _evals(other.graph).items():
        if name not in theirs or _measure(node) == _measure(theirs[name]):
            continue
        what = _difference(theirs[name], node)
        _add(
            findings,
            f"`{name}` of `{other.name}` has another {what} than of `{first.name}`",
            [*_eval(other, name, "here"), *_eval(first, name, "there")],
            ["two measures under one name: the difference may be theirs"],
        )


def _evals(graph: Graph) -> dict[str, Node]:
    return {
        node.names["eval"]: node
        for node in graph.nodes.values()
        if node.kind in MEASURED and "eval" in node.names and node.settings.get("draw", 1) == 1
    }


def _measure(node: Node) -> tuple[object, ...]:
    settings = {name: value for name, value in node.settings.items() if name != "seed"}
    return node.kind, settings, node.inputs.get("prompts") or node.inputs.get("rows")


def _difference(one: Node, other: Node) -> str:
    if one.kind != other.kind:
        return "metric"
    if (one.inputs.get("prompts") or one.inputs.get("rows")) != (
        other.inputs.get("prompts") or other.inputs.get("rows")
    ):
        return "set of prompts"
    if one.settings.get("scorers") != other.settings.get("scorers"):
        return "verifier"
    names = [name for name in other.settings if other.settings[name] != one.settings.get(name) and name != "seed"]
    return " and ".join(f"`{name}`" for name in names)


def _eval(side: Side, name: str, where: str) -> Iterator[Label]:
    if side.source is not None:
        for statement in parse(side.source)[0].statements:
            if isinstance(statement, ast.Define) and statement.keyword == "eval" and statement.name.id == name:
                yield at(statement.span, where)


def _tokens(first: Side, other: Side, findings: Findings) -> None:
    """Lengths alone: a warning, for what was changed may well have changed them."""
    counts = sum(first.tokens.values()), sum(other.tokens.values())
    if all(counts) and abs(counts[1] / counts[0] - 1) > TOLERANCE:
        findings.add(
            "V708",
            f"`{other.name}` has learned from {counts[1]:,} tokens, and `{first.name}` from {counts[0]:,}",
            [],
            [f"as many samples, {counts[1] / counts[0] - 1:+.0%} of length: part of a difference may be that"],
            severity="warning",
        )


def _add(findings: Findings, title: str, labels: Sequence[Label], notes: Sequence[str]) -> None:
    findings.add("V708", title, list(labels), list(notes), ['--unmatched "why it is compared all the same"'])
