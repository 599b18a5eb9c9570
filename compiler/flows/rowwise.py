"""Steps that compute something for each row: `prompts`, `respond`, `keep`, `only`, `chat`, `split_steps`."""

from __future__ import annotations

from dataclasses import replace

from ptc.compiler import core
from ptc.compiler.findings import at
from ptc.compiler.flows.joining import mixed
from ptc.compiler.flows.step import OF_AN_ATTEMPT, RESPONDED, Step, author_of, with_types
from ptc.compiler.graph import Json
from ptc.compiler.row_words import in_words
from ptc.compiler.rows import Value, condition, ordered, row_expression
from ptc.compiler.scorers import reached
from ptc.compiler.values import Unknown


def prompts(step: Step) -> core.Source | None:
    """The given columns and no other."""
    given = {"prompt": step.bound.given["prompt"], **step.bound.others}
    values = {name: row_expression(expr, step.rows, step.scope) for name, expr in given.items()}
    known = {name: value for name, value in values.items() if isinstance(value, Value)}
    if len(known) < len(values):
        return None
    if {"chosen", "rejected"} <= known.keys() and known["chosen"].document == known["rejected"].document:
        step.findings.add(
            "D408",
            "these pairs prefer nothing: both sides are the same text",
            [at(given["rejected"].span, "rejected"), at(given["chosen"].span, "chosen")],
            helps=["rejected = .rejected"],
        )
    authors = [author_of(known[name].document, step.rows) for name in RESPONDED & known.keys()]
    kind = core.Trajectories(
        ordered(set(known)),
        mixed(authors),
        column_types=tuple((name, value.type) for name, value in known.items() if value.type is not None),
        replayed=step.type.replayed,
    )
    return step.made(kind, {"columns": {name: value.document for name, value in known.items()}})


def respond(step: Step) -> core.Source | None:
    """The rows with a response that stands in them already."""
    response = step.row("response")
    if isinstance(response, Unknown) or not step.has_prompts():
        return None
    stale = OF_AN_ATTEMPT - {"group", "response"}
    kind = replace(
        step.type,
        columns=ordered({*(set(step.type.columns) - stale), "response"}),
        provenance=author_of(response.document, step.rows),
        sampling=None,
        scorers=(),
        column_types=with_types(step.type, {**dict.fromkeys(stale), "response": response.type}),
    )
    return step.made(kind, {"response": response.document})


def keep(step: Step) -> core.Source | None:
    """The rows for which a condition holds."""
    return _filtered(step)


def only(step: Step) -> core.Source | None:
    """All rows; those for which the condition does not hold count, with weight 0."""
    return _filtered(step)


def _filtered(step: Step) -> core.Source | None:
    where = condition(step.bound.given["where"], step.rows, step.scope, step.name)
    if isinstance(where, Unknown):
        return None
    if not _can_hold(step, where):
        return None
    return step.made(replace(step.type, kept=(*step.type.kept, in_words(where))), {"where": where})


def _can_hold(step: Step, where: Json) -> bool:
    """T121: a reward is compared with what the scores cannot reach."""
    reach = reached(step.type.scorers)
    match where.get("args"):
        case [{"op": "column", "name": "reward"}, {"op": "constant", "value": int() | float() as limit}]:
            op = where["op"]
        case _:
            return True
    if reach is None or not step.type.scorers:
        return True
    least, most = reach
    possible = {
        "eq": least <= limit <= most,
        "ge": limit <= most,
        "gt": limit < most,
        "le": limit >= least,
        "lt": limit > least,
    }
    if possible.get(op, True):
        return True
    step.findings.add(
        "T121",
        f"no row could pass: these scores lie between {least:g} and {most:g}",
        [at(step.bound.given["where"].span, f"asks for {in_words(where)}"), at(step.rows.span, "scored here")],
        helps=[f"|> {step.name}(.reward >= {most:g})"],
    )
    return False


def chat(step: Step) -> core.Source | None:
    """The rows with a system turn before the prompt."""
    system = step.row("system")
    if isinstance(system, Unknown) or not step.has_prompts():
        return None
    if system.type not in (None, "Text"):
        step.findings.add(
            "T111", "a system turn is a text", [at(step.place("system"), "not a text")], helps=['|> chat("Be brief.")']
        )
        return None
    kind = replace(
        step.type,
        columns=ordered({*step.type.columns, "system"}),
        column_types=with_types(step.type, {"system": "Text"}),
    )
    return step.made(kind, {"system": system.document})


def split_steps(step: Step) -> core.Source | None:
    """The rows with the steps of their responses, as a list."""
    if not step.has_responses("`split_steps` divides responses"):
        return None
    kind = replace(
        step.type,
        columns=ordered({*step.type.columns, "steps"}),
        column_types=with_types(step.type, {"steps": "List"}),
    )
    return step.made(kind, dict(step.settings))
