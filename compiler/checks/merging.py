"""Checks of models made of several, by averaging weights or by several teachers."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import core
from ptc.compiler.checks.view import View, name_of, teachers
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import bare, parents
from ptc.compiler.meaning import Meanings, same_tokenizer
from ptc.lang.source import Span

LOADED = ("hub_model", "local_model")
"""Models from outside: where their weights came from is not known."""


def merges(view: View) -> Iterator[core.Model]:
    """Every merge of a program, named or not, each once."""
    named = (*view.program.models, *(role.init for stage in view.program.stages for role in stage.roles))
    waiting = list(reversed(named))
    seen: set[int] = set()
    while waiting:
        model = waiting.pop()
        if id(model) not in seen:
            seen.add(id(model))
            waiting.extend(reversed(parents(model)))
            if model.kind == "merge":
                yield model


def check_merge_strangers(view: View, findings: Findings) -> None:
    """C606: weights that have no common start, shape or tokenizer mean nothing to one another."""
    for merge in merges(view):
        first, *others = merged(merge)
        for other in others:
            _compare(view, merge, first, other, findings)


def merged(merge: core.Model) -> tuple[core.Model, ...]:
    """What is averaged, without the base that task vectors are taken from."""
    return tuple(model for name, model in merge.inputs.items() if isinstance(model, core.Model) and name != "base")


def _compare(view: View, merge: core.Model, first: core.Model, other: core.Model, findings: Findings) -> None:
    one, two = first.type, other.type
    labels = [at(merge.span, "averaged here"), at(first.span, name_of(first)), at(other.span, name_of(other))]
    siblings: list[str] = []
    if same_tokenizer(one.tokenizer, two.tokenizer) is False:
        title, note = "do not share a tokenizer", "a row of the embedding belongs to another token in each"
    elif None not in (one.architecture, two.architecture) and _family(one) != _family(two):
        title, note = "are of two architectures", f"{one.architecture} and {two.architecture}"
    elif one.shape is not None and two.shape is not None and one.shape.layout != two.shape.layout:
        title, note = "are of two shapes", f"{one.shape.words} and {two.shape.words}"
    elif one.adapter is not None or two.adapter is not None:
        title, note = "have adapters apart", "the mean of two products A·B is not the product of the means"
        adapted = first if one.adapter is not None else other
        siblings = [f"model whole = merge_adapter({adapted.name or '…'})"]
    else:
        _compare_roots(view, merge, first, other, findings)
        return
    findings.add("C606", f"{name_of(first)} and {name_of(other)} {title}", labels, [note], siblings)


def _compare_roots(view: View, merge: core.Model, first: core.Model, other: core.Model, findings: Findings) -> None:
    roots = [_roots(view, model) for model in (first, other)]
    if {meaning for meaning, _ in roots[0]} & {meaning for meaning, _ in roots[1]}:
        return
    (_, root), (_, another) = roots[0][0], roots[1][0]
    unknown = root.kind in LOADED and another.kind in LOADED
    findings.add(
        "C606",
        f"{name_of(first)} and {name_of(other)} "
        + ("come from outside: a common start is not known" if unknown else "have no common start"),
        [
            at(merge.span, "averaged here"),
            at(root.span, f"{name_of(first)} begins here"),
            at(another.span, f"{name_of(other)} begins here"),
        ],
        ["averages of weights work between models that were trained from one start; of strangers they are noise"],
        [f"train policy = {root.name}"] if root.name and not unknown else [],
        severity="note" if unknown else None,
    )


def _roots(view: View, model: core.Model) -> list[tuple[str, core.Model]]:
    meanings = Meanings(view.program.seed)
    return [(meanings.of(root), root) for root in view.lineage.roots(model)]


def check_specialists_unwatched(view: View, findings: Findings) -> None:
    """C607: several specialists in one model, and what one of them was for is watched by nobody (survey, Table 5)."""
    for merge in merges(view):
        _watched(view, merge.span, "merged here", merged(merge), _behind_merge(view, merge), findings)
    for stage in view.program.stages:
        experts = tuple(dict.fromkeys(role.init for role in teachers(stage) if role.verb == "freeze"))
        if len(experts) > 1:
            _watched(view, stage.learner.span, "taught by several", experts, (stage,), findings)


def _behind_merge(view: View, merge: core.Model) -> tuple[core.Stage, ...]:
    return tuple(stage for stage in view.program.stages if merge in view.lineage.ancestors(stage.learner.init))


def _watched(
    view: View,
    place: Span,
    how: str,
    experts: tuple[core.Model, ...],
    later: tuple[core.Stage, ...],
    findings: Findings,
) -> None:
    """Reports the specialists whose claims nothing behind the join looks at."""
    looked_at = view.guarded.union(*(view.measured(stage) for stage in later))
    for expert in experts:
        stage = view.lineage.stage_of(bare(expert))
        if stage is None:
            continue
        lost = next((claim for claim in stage.claims if claim.eval not in looked_at), None)
        if lost is None:
            continue
        skill = lost.eval.name
        findings.add(
            "C607",
            f"what `{stage.name}` claims on `{skill}` may be gone behind the join, and nobody looks",
            [at(place, how), at(lost.span, "claimed here")],
            ["a mean over all tasks hides that one of them is lost"],
            [f"protect {skill} within 2 points", f"report {skill}"],
        )


def _family(kind: core.ModelType) -> str:
    """``qwen3``, of what `config.json` calls Qwen3ForCausalLM."""
    return (kind.architecture or "").lower().removesuffix("forcausallm")
