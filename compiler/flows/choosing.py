"""Steps that choose among rows: `slice`, `take`, `shuffle`, `unique`, `without`, `best`, `best_and_worst`."""

from __future__ import annotations

from dataclasses import replace

from ptc.compiler import core
from ptc.compiler.findings import at
from ptc.compiler.flows.step import OF_AN_ATTEMPT, Step, with_types
from ptc.compiler.rows import check_column, ordered
from ptc.lang import ast
from ptc.lang.source import Span


def slice_(step: Step) -> core.Source | None:
    """The rows whose prompt's hash lies in a share of all."""
    if not step.has_prompts():
        return None
    low, high = step.settings["from"], step.settings["to"]
    if low >= high:
        step.findings.add(
            "U204",
            "a slice goes from a smaller share to a larger one",
            [at(step.call.span, "holds nothing")],
            helps=[f"slice({high:.0%}, {low:.0%})"] if low > high else [],
        )
        return None
    return step.made(step.type, dict(step.settings))


def take(step: Step) -> core.Source | None:
    """The first rows by hash of the prompt."""
    return step.made(step.type, dict(step.settings)) if step.has_prompts() else None


def shuffle(step: Step) -> core.Source | None:
    """The values of one column permuted among the rows: the control that keeps everything but the connection."""
    column = _column(step, "|> shuffle(.reward)")
    if column is None:
        return None
    kind = replace(step.type, kept=(*step.type.kept, f"{column} is shuffled"))
    return step.made(kind, {"column": column})


def unique(step: Step) -> core.Source | None:
    """Of rows with one value in a column, the first."""
    column = _column(step, "|> unique(.prompt)")
    return None if column is None else step.made(step.type, {"column": column})


def _column(step: Step, example: str) -> str | None:
    given = step.bound.given["column"]
    if not isinstance(given, ast.Column):
        if not isinstance(given, ast.Missing):
            title = f"`{step.name}` takes a column"
            step.findings.add("N107", title, [at(given.span, "not a column")], helps=[example])
        return None
    return given.name if check_column(given.name, given.span, step.rows, step.findings) else None


def without(step: Step) -> core.Source | None:
    """The rows whose prompt does not occur in another source, or among the prompts of an eval."""
    other = step.flows.prompts_of(step.bound.given["other"], step.scope)
    if other is None or not step.has_prompts():
        return None
    place = step.place("other")
    if not check_column("prompt", place, other, step.findings):
        return None
    if other.live is not None:
        step.out_of_order(
            "`without` compares with rows that stand still",
            "would change with every step",
            f"`{other.live.name}` changes while the stage runs",
            other.live.span,
            ["tasks |> without(held_out)"],
        )
        return None
    return step.made(step.type, {}, {"rows": step.rows, "other": other})


def best(step: Step) -> core.Source | None:
    """The attempts with the highest rewards at each prompt."""
    k = step.settings["k"]
    sampling = step.type.sampling
    if not _scored_groups(step):
        return None
    if sampling is not None and k > sampling.n:
        step.findings.add(
            "U204",
            f"the best {k} of {sampling.n} attempts",
            [at(step.place("k"), f"more than {sampling.n}"), at(sampled_at(step.rows), f"n = {sampling.n}")],
            helps=[f"n = {k}", "best()"],
        )
        return None
    kept = f"reward is among the {k} best" if k > 1 else "reward is the best"
    of = f" of {sampling.n}" if sampling is not None else ""
    shape = replace(sampling, n=k) if sampling is not None else None
    kind = replace(step.type, sampling=shape, kept=(*step.type.kept, kept + of))
    return step.made(kind, dict(step.settings))


def best_and_worst(step: Step) -> core.Source | None:
    """A pair per prompt, with its rewards: the best attempt and the worst, where they differ."""
    sampling = step.type.sampling
    if not _scored_groups(step) or not step.has_prompts():
        return None
    if sampling is not None and sampling.n < 2:
        step.findings.add(
            "T102",
            "a pair needs two attempts, and each group has one",
            [at(sampled_at(step.rows), "one attempt per prompt"), at(step.call.span, "needs at least two")],
            helps=["sample(…, n = 8)"],
        )
        return None
    pair: dict[str, str | None] = dict.fromkeys(("chosen", "rejected"), "Text")
    scores: dict[str, str | None] = dict.fromkeys(("chosen_reward", "rejected_reward"), "Real")
    columns = {*(set(step.type.columns) - OF_AN_ATTEMPT), "prompt", *pair, *scores}
    kind = replace(
        step.type,
        columns=ordered(columns),
        sampling=replace(sampling, n=1) if sampling is not None else None,
        column_types=with_types(step.type, {**dict.fromkeys(OF_AN_ATTEMPT), **pair, **scores}),
    )
    return step.made(kind, {})


def _scored_groups(step: Step) -> bool:
    """Whether there are rewards to compare within groups."""
    return all(check_column(name, step.call.span, step.rows, step.findings) for name in ("group", "reward"))


def sampled_at(rows: core.Source) -> Span:
    """Where rows were sampled, the nearest place first."""
    return next((each.span for each in rows.upstream() if each.kind == "sample"), rows.span)
