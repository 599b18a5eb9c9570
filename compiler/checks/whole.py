"""Checks of the whole: names that became one, models too short for what they are to write, nothing to run."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.checks.view import View, step_of
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import drawn, sources
from ptc.compiler.meaning import Meanings


def check_context_too_short(view: View, findings: Findings) -> None:
    """L507: completions longer than the context of the model that writes them, for rows or for an eval."""
    for stage in view.program.stages:
        steps = (step for term in stage.terms for rows in sources(term) for step in rows.upstream())
        for sample in dict.fromkeys(step for step in steps if step.kind == "sample"):
            writer = sample.inputs["model"]
            if sample.type.sampling is not None and isinstance(writer, core.Model | core.Role):
                _fits_context(sample.type.sampling.max_tokens, 1, sample, writer, findings)
        judged = (claim.eval for claim in stage.claims)
        for measured in dict.fromkeys((*judged, *(watch.eval for watch in stage.watches))):
            longest = measured.settings.get("max_tokens")
            if isinstance(longest, int):
                _fits_context(longest, 0, measured, stage.learner, findings)  # published evals allow the context


def _fits_context(
    longest: int, prompt: int, asked: core.Source | core.Eval, writer: core.Model | core.Role, into: Findings
) -> None:
    """`prompt` is the least number of tokens that stand before the `longest` new ones."""
    context = writer.type.context
    if context is not None and longest + prompt > context:
        into.add(
            "L507",
            f"{longest:,} new tokens do not fit a context of {context:,}",
            [
                at(asked.places.get("max_tokens", asked.span), f"max_tokens = {longest}"),
                at(writer.span, f"context {context}"),
            ],
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
