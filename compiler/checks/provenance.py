"""Checks of what a loss assumes about the rows it is given: how old they are, and whose."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import core
from ptc.compiler.checks.view import View, step_of
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import REWARDS, authors, preferring, sources, supervised
from ptc.compiler.losses import contexts, correction, forms_ratio, reads_sampler, unweighted_estimators
from ptc.lang.source import Span


def live(stage: core.Stage) -> Iterator[tuple[core.Term, str, core.Source, core.Live]]:
    """Every live source of a stage's terms, with the parameter that it fills."""
    for term in stage.terms:
        for parameter, source in term.sources.items():
            for author in authors(source.type.provenance):
                if isinstance(author, core.Live):
                    yield term, parameter, source, author


def given(stage: core.Stage) -> Iterator[tuple[core.Term, str, core.Source]]:
    """Every source of a stage's terms, with the parameter that it fills."""
    for term in stage.terms:
        for parameter, source in term.sources.items():
            yield term, parameter, source


def check_staleness_uncorrected(view: View, findings: Findings) -> None:
    """P206: the last update on a rollout batch learns from rows older than the signature bears, uncorrected.

    A ratio of the learner to the sampler corrects for the updates on one batch; for rows that were old before the first
    of them it takes more (AReaL, arXiv 2505.24298: a clip around the sampler's policy no longer bounds the step)."""
    for stage in view.program.stages:
        updates = stage.updates_per_rollout
        for term, parameter, source, author in live(stage):
            bound = term.on_policy.get(parameter)
            last = author.lag + updates - 1
            if bound is None or last <= bound or correction(term) or (forms_ratio(term) and author.lag == 0):
                continue
            place, why = _ageing(stage, source, updates)
            findings.add(
                "P206",
                f"the last of {updates} updates on one batch learns from rows {last} steps old, uncorrected",
                [
                    at(place, why),
                    at(term.places.get(parameter, term.span), f"`{term.objective}` bears {bound}"),
                ],
                [_OLD_ALREADY if forms_ratio(term) else _UNSAID],
                _fresher(term, author),
            )


_OLD_ALREADY = "the rows are old before the first update: a clip around their writer no longer bounds the step"
_UNSAID = "each update moves the policy away from the one that wrote the rows; nothing in the loss says so"


def _fresher(term: core.Term, author: core.Live) -> list[str]:
    if not forms_ratio(term):
        return ["passes = 1", "an objective with a ratio to the sampler:  exp(logp(policy, .response) - .logprobs)"]
    return [*(["tis = 2"] if "tis" in term.numbers else []), *(["max_lag = 0 steps"] if author.lag else [])]


def _ageing(stage: core.Stage, source: core.Source, updates: int) -> tuple[Span, str]:
    for setting in ("passes", "rollout"):
        if setting in stage.places:
            return stage.places[setting], f"{updates} updates on what was sampled at once"
    sample = step_of(source, "sample")
    place = sample.places.get("max_lag", sample.span) if sample is not None else source.span
    return place, "sampled here"


def check_kl_estimator_bias(view: View, findings: Findings) -> None:
    """P211: the k3 estimate of a divergence, in a loss, on samples of older weights, without an importance weight
    (DeepSeek-V3.2, as TRL documents it)."""
    for stage in view.program.stages:
        for term, _, source, author in live(stage):
            sample = step_of(source, "sample")
            if author.lag == 0 or sample is None or not any(True for _ in unweighted_estimators(term.loss)):
                continue
            findings.add(
                "P211",
                f"the divergence is estimated on samples up to {author.lag} steps old, without a weight",
                [
                    at(term.places.get("kl", term.span), "k3, in the loss"),
                    at(sample.places.get("max_lag", sample.span), f"up to {author.lag} steps old"),
                ],
                ["k3 is unbiased on the policy's own samples; on others its gradient pulls another way"],
                [*(["unbiased_kl = true"] if "unbiased_kl" in term.numbers else []), "max_lag = 0 steps"],
            )


def check_preference_off_support(view: View, findings: Findings) -> None:
    """P210: pairs of which both sides are known to be others'. Offline contrastive losses need the pairs to cover what
    the policy does (2406.01462); of an author that nobody states nothing is known, and nothing is said."""
    for stage in view.program.stages:
        if stage.learner.type.head != "language":
            continue
        for term in (term for term in stage.terms if preferring(term)):
            for source in sources(term):
                writers = tuple(authors(source.type.provenance))
                if writers and all(_foreign(view, writer, stage) for writer in writers):
                    _others_pairs(stage, term, source, findings)


def _foreign(view: View, writer: core.Provenance, stage: core.Stage) -> bool:
    """Whether a writer is known, none of the learner's line, and nobody whom the line has imitated."""
    match writer:
        case core.External(by=author):
            line = view.lineage.ancestors(stage.learner.init)
            others = author is not None and all(model.settings.get("name") != author for model in line)
        case core.Fixed(model=model):
            others = not view.lineage.is_ancestor(model, stage.learner.init)
        case _:
            others = False
    return others and not any(writer in _imitated(earlier) for earlier in view.lineage.before(stage))


def _imitated(stage: core.Stage) -> Iterator[core.Provenance]:
    """Those whose answers a stage imitates."""
    for source in (source for term in stage.terms if supervised(term) for source in sources(term)):
        yield from authors(source.type.provenance)


def _others_pairs(stage: core.Stage, term: core.Term, source: core.Source, findings: Findings) -> None:
    learner = stage.learner.name
    findings.add(
        "P210",
        f"both sides of these pairs were written by others than `{learner}`",
        [
            at(source.span, "the pairs come from here"),
            at(stage.learner.span, f"`{learner}` may give neither side any probability"),
        ],
        ["a preference between two answers that the policy would not give moves probability to unseen places"],
        [f"|> sample({stage.learner.init.name or 'tuned'}, n = 8) |> score(rm) |> best_and_worst()"],
    )


def check_hint_leak(view: View, findings: Findings) -> None:
    """P208: a ratio of what the policy says without the hint to what the sampler said with it."""
    for stage in view.program.stages:
        for term, parameter, source in given(stage):
            dropped = next((guidance for guidance in source.type.guidance if not guidance.kept), None)
            if dropped is None or not reads_sampler(term) or _sees_context(term, stage.learner):
                continue
            findings.add(
                "P208",
                f"the sampler saw a {dropped.kind}, and the ratio of `{term.objective}` leaves it out",
                [
                    at(dropped.span, "shown while sampling, dropped while training"),
                    at(term.places.get(parameter, term.span), "compares the two as if they had read the same"),
                ],
                ["what the hint made likely looks unlikely to the policy, and is taken for a change of it"],
                ['train = "keep"', "or imitate what was right:  sft(rows, policy)"],
            )


def _sees_context(term: core.Term, learner: core.Role) -> bool:
    """Whether the loss gives the learner the context that the sampler saw."""
    return contexts(term.loss, learner) != frozenset((None,))


def check_replay_without_age(view: View, findings: Findings) -> None:
    """P209: rewards on rows that were learned from before, with no record of how likely their writer found them."""
    for stage in view.program.stages:
        for term, parameter, source in given(stage):
            if not source.type.replayed or not set(term.wanted.get(parameter, ())) & set(REWARDS):
                continue
            if "logprobs" in source.type.columns and reads_sampler(term):
                continue
            replay = step_of(source, "replay") or source
            recorded = "`.logprobs` is not read" if "logprobs" in source.type.columns else "there is no `.logprobs`"
            findings.add(
                "P209",
                f"`{term.objective}` learns again from rows whose age it cannot tell",
                [
                    at(replay.span, "rows that were learned from before"),
                    at(term.places.get(parameter, term.span), recorded),
                ],
                ["old rows pull the policy to where it was, unless each is weighed by how likely it has become"],
                [
                    f"|> sample({stage.learner.init.name or '…'}, …) |> score(…) |> replay()",
                    "exp(logp(policy, .response) - .logprobs)  as a weight in the objective",
                ],
            )
