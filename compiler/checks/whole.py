"""Checks of the whole: names that became one, models too short for what they are to write, nothing to run."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.checks.view import View, step_of
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import drawn, sources
from ptc.compiler.meaning import Meanings


def check_context_too_short(view: View, findings: Findings) -> None:
    """L507: completions longer than the model's context."""
    for stage in view.program.stages:
        context = stage.learner.type.context
        parts = (part for term in stage.terms for rows in sources(term) for part in drawn(rows))
        for source in parts:
            sampling, sample = source.type.sampling, step_of(source, "sample")
            if sampling is None or sample is None or context is None or sampling.max_tokens < context:
                continue
            findings.add(
                "L507",
                f"{sampling.max_tokens:,} new tokens do not fit a context of {context:,}",
                [at(sample.span, f"max_tokens = {sampling.max_tokens}"), at(stage.learner.span, f"context {context}")],
                helps=[f"max_tokens = {max(1, context // 2)}"],
            )


def check_lengths_contradict(view: View, findings: Findings) -> None:
    """L507: a stage that takes longer rows than its model, or rows that may be longer than it takes."""
    for stage in view.program.stages:
        longest, context = stage.settings.get("max_length"), stage.learner.type.context
        place = stage.places.get("max_length", stage.span)
        if not isinstance(longest, int):
            continue
        if "max_length" in stage.places and context is not None and longest > context:
            findings.add(
                "L507",
                f"rows of {longest:,} tokens do not fit a context of {context:,}",
                [at(place, f"{longest:,} tokens"), at(stage.learner.span, f"context {context:,}")],
                helps=[f"max_length = {context}"],
            )
        fixed = (rows for term in stage.terms for rows in sources(term) if rows.live is None)
        for source in dict.fromkeys(part for rows in fixed for part in drawn(rows)):
            sampling, sample = source.type.sampling, step_of(source, "sample")
            if sampling is None or sample is None or sampling.max_tokens <= longest:
                continue
            if stage.settings.get("truncate", "error") != "error":
                continue
            written = "max_length" in stage.places
            findings.add(
                "L507",
                f"responses of up to {sampling.max_tokens:,} tokens do not fit rows of {longest:,}",
                [
                    at(place, f"takes rows of {longest:,} tokens" + ("" if written else ", where nothing is said")),
                    at(sample.places.get("max_tokens", sample.span), f"up to {sampling.max_tokens:,} tokens"),
                ],
                ["a longer row would end the run"],
                [f"max_length = {2 * sampling.max_tokens}", 'truncate = "drop"'],
                severity=None if written else "warning",
            )


def check_same_meaning(view: View, findings: Findings) -> None:
    """N111: two models under two names that are one node."""
    meanings = Meanings(view.program.seed)
    seen: dict[str, core.Model] = {}
    for model in view.program.models:
        if view.lineage.stage_of(model) is not None:
            continue
        first = seen.setdefault(meanings.of(model), model)
        if first is not model and first.name != model.name:
            findings.add(
                "N111",
                f"`{first.name}` and `{model.name}` are one model",
                [at(model.span, "says the same"), at(first.span, "as this")],
                helps=["seed = 2"],
            )


def check_nothing_to_run(view: View, findings: Findings) -> None:
    """L506: a program that trains and measures nothing."""
    program = view.program
    if not program.stages and not program.exports and program.sources and not findings.found:
        findings.add("L506", "this program has no stage: nothing would run", [at(program.sources[0].span, "only data")])
