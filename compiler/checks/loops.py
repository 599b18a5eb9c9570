"""Checks of pipelines that feed on themselves: own samples, own judgement, a judge that has been left behind."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import core
from ptc.compiler.checks.view import View, gated, name_of, same_weights
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import authors, bare, sources


def _rows(stage: core.Stage) -> tuple[core.Source, ...]:
    return tuple(source for term in stage.terms for source in sources(term))


def check_self_train_closed_loop(view: View, findings: Findings) -> None:
    """C611: stage after stage on nothing but the unscored samples of the stage before (model collapse)."""
    closed = {stage for stage in view.program.stages if _feeds_on_itself(stage)}
    for stage in view.program.stages:
        before = view.lineage.stage_of(stage.learner.init)
        if stage not in closed or before not in closed or before is None:
            continue
        root = view.lineage.roots(stage.learner.init)[0]
        findings.add(
            "C611",
            f"`{stage.name}` and `{before.name}` learn from nothing but themselves",
            [
                at(stage.terms[0].source.span, f"samples of {name_of(stage.learner.init)}, unscored"),
                at(stage.learner.span, "starts from the same model"),
                at(before.span, "did the same before"),
            ],
            ["each round loses a part of what is rare, and nothing brings it back"],
            [f"train {stage.learner.name} = {root.name or 'base'}", "|> score(exact) |> keep(.reward == 1)"],
        )


def _feeds_on_itself(stage: core.Stage) -> bool:
    """Whether all that a stage learns from was written by what it starts from, and nobody has chosen among it."""
    return all(
        isinstance(source.type.provenance, core.Fixed)
        and same_weights(source.type.provenance.model, stage.learner.init)
        and not source.type.scorers
        and not source.type.kept
        and "reward" not in source.type.columns
        for source in _rows(stage)
    )


def scored(view: View) -> Iterator[tuple[core.Stage, core.Source, core.Scorer]]:
    """Every score that a stage learns from, with the step that gave it."""
    for stage in view.program.stages:
        for term in stage.terms:
            for source in sources(term):
                for step in source.upstream():
                    if step.kind == "score":
                        yield from ((stage, step, scorer) for scorer in step.type.scorers)


def weights(scorer: core.Scorer) -> core.Model | None:
    """The weights that judge, as they are at the entry of a stage."""
    return scorer.model.init if isinstance(scorer.model, core.Role) else scorer.model


def check_rm_distribution_shift(view: View, findings: Findings) -> None:
    """C610: a reward model that was fitted on an earlier policy judges a later one (Gao et al., 2210.10760)."""
    for _, step, scorer in scored(view):
        judge = weights(scorer)
        fitted = view.lineage.stage_of(judge) if judge is not None else None
        if scorer.kind != "reward_model" or fitted is None:
            continue
        samples = [(source, model) for source in _rows(fitted) for model in _sampled(source)]
        for writer in _writers(step):
            line = view.lineage.ancestors(writer)
            own = [(source, model) for source, model in samples if bare(model) in line]
            if not own or any(same_weights(model, writer) for _, model in own):
                continue
            source, model = min(own, key=lambda pair: line.index(bare(pair[1])))
            between = next(iter(view.lineage.behind(writer)), None)
            if between is None:  # an average of what was judged: no stage has changed how it answers
                continue
            findings.add(
                "C610",
                f"`{scorer.name}` has learned from {name_of(model)}, and judges {name_of(writer)}",
                [
                    at(step.span, f"answers of {name_of(writer)}"),
                    at(source.span, f"`{fitted.name}` was fitted on answers of {name_of(model)}"),
                    at(between.span, "has changed how they are written"),
                ],
                ["a reward model is worth what it has seen: on other answers its score and their quality part"],
                [f"fit it again on the answers it is to judge:  sample({writer.name or '…'}, …)"],
            )
            break


def _sampled(source: core.Source) -> Iterator[core.Model]:
    for author in authors(source.type.provenance):
        if isinstance(author, core.Fixed):
            yield author.model


def _writers(step: core.Source) -> Iterator[core.Model]:
    """The models whose answers are scored, a live one as it is at the entry."""
    for author in authors(step.type.provenance):
        if isinstance(author, core.Fixed):
            yield author.model
        elif isinstance(author, core.Live):
            yield author.role.init


def check_self_judge_cycle(view: View, findings: Findings) -> None:
    """C612: what writes, what judges and what decides are one family, and nothing from outside enters."""
    told: set[int] = set()
    for stage, step, scorer in scored(view):
        judge = weights(scorer)
        if judge is None or id(step) in told or not _internal(view, stage, judge, scorer):
            continue
        if any(not other.learned for other in step.type.scorers) or _gated_from_outside(view, stage):
            continue
        if _learns_from_outside(stage):
            continue
        told.add(id(step))
        findings.add(
            "C612",
            f"`{stage.learner.name}` is judged by its own family, and nothing from outside enters",
            [
                at(scorer.span, f"{name_of(judge)} judges"),
                at(stage.learner.span, f"{name_of(stage.learner.init)} learns"),
            ],
            ["what the family believes is confirmed in every round, right or wrong"],
            ["|> score(exact)", "ensure skill >= 20%"],
        )


def _internal(view: View, stage: core.Stage, judge: core.Model, scorer: core.Scorer) -> bool:
    """Whether a judge comes from the learner's own root and has not been fitted to anything from outside."""
    if not set(view.lineage.roots(judge)) & set(view.lineage.roots(stage.learner.init)):
        return False
    fitted = view.lineage.stage_of(judge)
    if scorer.kind == "judge" or fitted is None:
        return True
    scorers = (other for source in _rows(fitted) for step in source.upstream() for other in step.type.scorers)
    family = set(view.lineage.roots(judge))
    return not _learns_from_outside(fitted) and not any(_from_outside(view, other, family) for other in scorers)


def _from_outside(view: View, scorer: core.Scorer, family: set[core.Model]) -> bool:
    """Whether a rule judges, or a model of another family."""
    judge = weights(scorer)
    return judge is None or not family & set(view.lineage.roots(judge))


def _learns_from_outside(stage: core.Stage) -> bool:
    """Whether rows that nobody in this program wrote are among what a stage learns from."""
    return any(isinstance(one, core.External) for source in _rows(stage) for one in authors(source.type.provenance))


def _gated_from_outside(view: View, stage: core.Stage) -> bool:
    """Whether a rule, or a judge of another family, decides if the stage's result is published."""
    family = set(view.lineage.roots(stage.learner.init))
    deciding = (*gated(stage), *(protect.eval for protect in view.program.protects))
    return any(_from_outside(view, scorer, family) for one in deciding for scorer in one.scorers)
