"""Room for what is sampled: prompts against the model's context, answers that were shown against `max_tokens`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

from ptc.compiler import core
from ptc.compiler.checks.outside import LONG_TRACE, SMALL_STUDENT
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import supervised
from ptc.compiler.memory import amount
from ptc.lang.source import Span
from ptc.probes.drawing import Drawn
from ptc.probes.tokenizers import Headers
from ptc.probes.view import Shown, View
from ptc.probes.wording import examples, named, share
from ptc.runtime.rendering.rows import histogram
from ptc.runtime.rendering.tables import prompts_of
from ptc.runtime.rendering.template import Asked, apply_template, encode
from ptc.runtime.tables import column

SHARE = 0.95
"""Share of the answers that were shown that must fit into what is sampled (engineering default)."""


@dataclass(frozen=True)
class Sampling:
    """A place where a model goes on from prompts."""

    model: core.Model
    prompts: core.Source
    max_tokens: int
    place: Span
    """Where `max_tokens` is written, or the call."""
    who: str


def samplings(program: core.Program) -> Iterator[Sampling]:
    """Every `sample` step, and every eval that samples, by the models that it is taken of."""
    taken: set[int] = set()
    fed = (source for stage in program.stages for term in stage.terms for source in term.sources.values())
    for source in (*program.sources, *fed):
        for step in source.upstream():
            model, rows = step.inputs.get("model"), step.inputs.get("prompts")
            if step.kind != "sample" or id(step) in taken or not isinstance(rows, core.Source):
                continue
            taken.add(id(step))
            if isinstance(model, core.Model | core.Role):
                weights = model.init if isinstance(model, core.Role) else model
                place = step.places.get("max_tokens", step.span)
                yield Sampling(weights, rows, int(step.settings["max_tokens"]), place, named(source))
    for stage in program.stages:
        watched = (*(claim.eval for claim in stage.claims), *(watch.eval for watch in stage.watches), *program.reports)
        for measured in dict.fromkeys(watched):
            if "max_tokens" in measured.settings:
                place = measured.places.get("max_tokens", measured.span)
                yield Sampling(
                    stage.model, measured.source, int(measured.settings["max_tokens"]), place, f"`{measured.name}`"
                )


def check_prompt_too_long(view: View, findings: Findings) -> None:
    """D415: a prompt that leaves no room for `max_tokens`; all prompts are looked at. D409: one with two beginnings."""
    for sampling in samplings(view.program):
        headers, drawn = view.headers(sampling.model), view.drawer.prompts(sampling.prompts)
        if headers is None or drawn is None or headers.tokenizer.chat_template is None:
            continue
        tokens = _prompt_tokens(headers, drawn)
        _twice_begun(view, findings, sampling, headers, drawn, tokens)
        if headers.context is None:
            continue
        room = headers.context - sampling.max_tokens
        over = [(row, len(ids)) for row, ids in enumerate(tokens) if len(ids) > room]
        if over and room > 0:
            longest = max(length for _, length in over)
            rows = [(row, f"a prompt of {length:,} tokens") for row, length in sorted(over, key=lambda each: -each[1])]
            findings.add(
                "D415",
                f"{share(len(over), len(drawn), 'prompts')} of {sampling.who} and their completions do not fit into "
                f"{headers.context:,} tokens",
                [
                    at(sampling.place, f"up to {sampling.max_tokens:,} tokens are sampled"),
                    at(sampling.model.span, f"reads {headers.context:,} tokens"),
                ],
                [f"prompts in tokens: {histogram([len(ids) for ids in tokens])}", *examples(view.drawer, drawn, rows)],
                [f"max_tokens = {headers.context - longest}"] if headers.context > longest else [],
            )


def _twice_begun(
    view: View,
    findings: Findings,
    sampling: Sampling,
    headers: Headers,
    drawn: Drawn,
    tokens: Sequence[Sequence[int]],
) -> None:
    begin = headers.tokenizer.bos_token_id
    twice = [(row, "begins with it twice") for row, ids in enumerate(tokens) if list(ids[:2]) == [begin, begin]]
    if begin is not None and twice:
        findings.add(
            "D409",
            f"{share(len(twice), len(drawn), 'prompts')} begin with `{headers.tokenizer.bos_token}` twice",
            [at(sampling.place, "sampled from"), at(sampling.model.span, "its chat template")],
            examples(view.drawer, drawn, twice),
        )


def _prompt_tokens(headers: Headers, drawn: Drawn) -> list[list[int]]:
    """What the model reads of each prompt; nothing of one that cannot be rendered, which is said elsewhere."""
    prompts = [({"role": "user", "content": one},) if isinstance(one, str) else one for one in prompts_of(drawn.table)]
    texts = apply_template(headers.tokenizer, [Asked(tuple(prompt or ()), header=True) for prompt in prompts])
    return encode(headers.tokenizer, [text if isinstance(text, str) else "" for text in texts])


def check_truncation_budget(view: View, findings: Findings) -> None:
    """D406: answers that were shown, or gold solutions, longer than what may be sampled."""
    for sampling in samplings(view.program):
        headers = view.headers(sampling.model)
        for lengths, what, place in _shown(view, sampling, headers) if headers is not None else ():
            limit = sorted(lengths)[ceil(SHARE * len(lengths)) - 1]
            if limit <= sampling.max_tokens:
                continue
            findings.add(
                "D406",
                f"{sampling.who} may sample {sampling.max_tokens:,} tokens, "
                f"and the longest 5% of {what} have {limit:,} and more",
                [at(sampling.place, "cut off here"), at(place, "how long answers are")],
                [f"tokens: {histogram(lengths, sampling.max_tokens)}", "what is cut off has no final answer"],
                [f"max_tokens = {-(-limit // 64) * 64}"],
            )
            break


def check_capacity_gap(view: View, findings: Findings) -> None:
    """C615 by row: a small student that learns from nothing but long answers of others (2502.12143)."""
    for stage in view.program.stages:
        size = stage.learner.type.size
        lessons = [lesson for lesson in view.lessons if lesson.stage is stage]
        shown = [view.shown(lesson) for lesson in lessons]
        if size is None or size > SMALL_STUDENT or not all(supervised(term) for term in stage.terms):
            continue
        if not all(_long(each) for each in shown):
            continue
        findings.add(
            "C615",
            f"a student of {amount(size)} parameters learns from long traces alone",
            [
                at(stage.learner.span, "a small model"),
                at(lessons[0].place, f"half of them have {LONG_TRACE:,} tokens and more"),
            ],
            ["small models learn more from long and short answers mixed, unless there are very many"],
            ["mix([long, short], weights = [0.2, 0.8])"],
        )


def _long(shown: Shown | None) -> bool:
    lengths = [one.trained for row in shown.rendered for part in row.parts for one in part.values()] if shown else []
    return bool(lengths) and median(lengths) >= LONG_TRACE


def _shown(view: View, sampling: Sampling, headers: Headers) -> Iterator[tuple[list[int], str, Span]]:
    """Lengths of the answers that the sampled model has imitated, where its prompts are of the same kind."""
    kin = {strand.kin for strand in view.domains.of(sampling.prompts)}
    for lesson in view.lessons:
        if lesson.stage not in view.whole.lineage.behind(sampling.model) or "response" not in lesson.columns:
            continue
        drawn = view.drawer.rows(lesson.source)
        if drawn is None or not kin & {strand.kin for strand in view.domains.of(lesson.source)}:
            continue
        answers = [text for text in column(drawn.spread(view.limits.rows).table, "response") if isinstance(text, str)]
        if answers:
            lengths = [len(ids) + 1 for ids in encode(headers.tokenizer, answers)]
            yield lengths, f"the answers in {named(lesson.source)}", lesson.source.span
