"""Several sources as one: `a + b`, `mix([a, b], weights = …)`; `join`, which asks one about another's attempts; and
`against`, which makes pairs of two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce

from ptc.compiler import core
from ptc.compiler.arguments import bind
from ptc.compiler.calls import constants
from ptc.compiler.findings import at
from ptc.compiler.flows.signatures import MIX
from ptc.compiler.flows.step import OF_AN_ATTEMPT, RESPONDED, Step, with_types
from ptc.compiler.rows import check_column, ordered
from ptc.compiler.scope import Scope
from ptc.lang import ast
from ptc.lang.source import Span

PAIRED = ("prompt", "response")
"""Columns of the two sources that `against` makes pairs of."""


def concat(span: Span, left: core.Source, right: core.Source) -> core.Source:
    """All rows of two sources, with the columns that both have."""
    return core.Source("concat", {}, {"0": left, "1": right}, joined_type((left.type, right.type)), span)


def mix(call: ast.Call, sources: Sequence[core.Source], scope: Scope) -> core.Source | None:
    """Rows of several sources in given shares."""
    bound = bind(MIX, call.arguments, call.span, scope.findings)
    settings = constants(MIX, bound, scope)
    if settings is None or not bound.whole:
        return None
    weights = settings["weights"] or [1.0] * len(sources)
    if len(weights) != len(sources) or sum(weights) <= 0:
        place = bound.given["weights"].span
        scope.findings.add(
            "U205",
            f"{len(weights)} weights for {len(sources)} sources"
            if len(weights) != len(sources)
            else "the weights of a mixture are all 0",
            [at(place, "one weight per source"), at(bound.given["sources"].span, f"{len(sources)} sources")],
            helps=[f"weights = [{', '.join(['1'] * len(sources))}]"],
        )
        return None
    total = sum(weights)
    inputs: dict[str, core.Input] = {str(number): source for number, source in enumerate(sources)}
    shares = [round(weight / total, 12) for weight in weights]
    kind = joined_type([source.type for source in sources])
    return core.Source("mix", {"weights": shares}, inputs, kind, call.span, places=dict(bound.spans))


def joined_type(types: Sequence[core.Trajectories]) -> core.Trajectories:
    """The type of all rows together: what every part is sure of."""
    return reduce(_both, types)


def _both(left: core.Trajectories, right: core.Trajectories) -> core.Trajectories:
    columns = set(left.columns) & set(right.columns)
    if left.open or right.open:  # what is unknown of the one may be what is known of the other
        columns |= set(right.columns) if left.open else set()
        columns |= set(left.columns) if right.open else set()
    open = left.open and right.open
    responded = open or bool(columns & RESPONDED)
    same = set(left.column_types) & set(right.column_types)
    return core.Trajectories(
        ordered(columns),
        mixed(kind.provenance for kind in (left, right)) if responded else None,
        left.sampling if left.sampling == right.sampling else None,
        tuple(words for words in left.kept if words in right.kept),
        open=open,
        column_types=tuple(pair for pair in left.column_types if pair in same),
        guidance=tuple(dict.fromkeys((*left.guidance, *right.guidance))),
        replayed=left.replayed or right.replayed,
        scorers=left.scorers if _alike(left.scorers, right.scorers) else (*left.scorers, *right.scorers),
    )


def _alike(left: tuple[core.Scorer, ...], right: tuple[core.Scorer, ...]) -> bool:
    """Whether two sums of scorers are one."""
    return [(each.document, each.weight, each.model) for each in left] == [
        (each.document, each.weight, each.model) for each in right
    ]


def mixed(parts: Iterable[core.Provenance | None]) -> core.Provenance | None:
    """The provenance of rows of several provenances: live parts of one role are as old as the oldest."""
    found: dict[core.Provenance, None] = {}
    lags: dict[core.Role, int] = {}
    for part in _flat(parts):
        if isinstance(part, core.Live):
            lags[part.role] = max(part.lag, lags.get(part.role, 0))
        found.setdefault(core.Live(part.role, 0) if isinstance(part, core.Live) else part)
    whole = tuple(core.Live(each.role, lags[each.role]) if isinstance(each, core.Live) else each for each in found)
    if not whole:
        return None
    return whole[0] if len(whole) == 1 else core.Mixed(whole)


def _flat(parts: Iterable[core.Provenance | None]) -> Iterable[core.Provenance]:
    for part in parts:
        if isinstance(part, core.Mixed):
            yield from _flat(part.parts)
        elif part is not None:
            yield part


def join(step: Step) -> core.Source | None:
    """The rows whose prompt a partner has attempts at, drawn with the partner's batch; author and columns stay."""
    on = step.bound.given["on"]
    partner = step.flows.source(step.bound.given["rollouts"], step.scope)
    if partner is None:
        return None
    if not isinstance(on, ast.Column):
        step.findings.add("N107", "rows are joined on a column", [at(on.span, "not a column")], helps=["on = .prompt"])
        return None
    place = step.place("rollouts")
    here = check_column(on.name, on.span, step.rows, step.findings)
    there = check_column(on.name, place, partner, step.findings)
    grouped = check_column("group", place, partner, step.findings)
    if not (here and there and grouped):
        return None
    if step.rows.live is not None:
        step.out_of_order(
            "rows that stand still are joined with attempts, not the other way round",
            "these are sampled while the stage runs",
            "sampled from a role that changes",
            step.rows.live.span,
            ["demos |> join(rollouts, on = .prompt)"],
        )
        return None
    kind = replace(step.type, kept=step.type.kept)
    return step.made(kind, {"on": on.name}, {"rows": step.rows, "partner": partner})


def against(step: Step) -> core.Source | None:
    """Pairs: at each prompt, what stands in these rows is preferred to what another source has there."""
    other = step.flows.source(step.bound.given["other"], step.scope)
    if other is None:
        return None
    here, there = step.call.span, step.place("other")
    wanted = [(name, rows, place) for rows, place in ((step.rows, here), (other, there)) for name in PAIRED]
    if not all([check_column(name, place, rows, step.findings) for name, rows, place in wanted]):
        return None
    live = step.rows.live or other.live
    if live is not None:
        step.out_of_order(
            "`against` pairs rows that stand still",
            "would change with every step",
            f"`{live.name}` changes while the stage runs",
            live.span,
            [f"sample({live.name}, n = 8, …) |> score(…) |> best_and_worst()"],
        )
        return None
    columns = {*(set(step.type.columns) - OF_AN_ATTEMPT), "prompt", "chosen", "rejected"}
    kind = core.Trajectories(
        ordered(columns),
        mixed((step.type.provenance, other.type.provenance)),
        kept=step.type.kept,
        column_types=with_types(step.type, {**dict.fromkeys(OF_AN_ATTEMPT), "chosen": "Text", "rejected": "Text"}),
        replayed=step.type.replayed or other.type.replayed,
    )
    return step.made(kind, {}, {"rows": step.rows, "other": other})
