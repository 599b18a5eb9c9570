"""Checks of stages in a row: what one stage leaves for the next, and what the next does to it.

Each is computed from lineage, provenance and prompts; none looks at the name of a method.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.checks.view import View, claimed, gated, name_of, prompts_name, step_of, teachers
from ptc.compiler.domains import Strand
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import addends, authors, bare, on_policy, rewarded, sources, supervised
from ptc.lang.source import Span

EPOCHS_BEFORE_RL = 2
"""Passes over the demonstrations after which further ones no longer help the reinforcement learning behind them
(2510.01624, engineering default)."""


# Before reinforcement learning ----------------------------------------------------------------------------------------


def check_reshape_before_support(view: View, findings: Findings) -> None:
    """C601: rewards on prompts that nothing before has taught, without a gate on whether they can be solved at all."""
    for stage in view.program.stages:
        term = next((term for term in stage.terms if rewarded(term)), None)
        if term is None or any(gate.when == "require" for gate in stage.gates):
            continue
        kin = {strand.kin for strand in view.prompts(term)}
        before = view.lineage.before(stage)
        if any(kin & {strand.kin for strand in view.domain(earlier)} for earlier in before):
            continue
        judged = [scorer.learned for scorer in term.source.type.scorers]
        if _shown_beside(view, stage, term) or (judged and all(judged)):  # a learned reward always has more and less
            continue
        rows = term.source.name or "rollouts"
        findings.add(
            "C601",
            f"`{stage.name}` learns from rewards on prompts that no stage before it has seen",
            [
                at(term.source.span, "if no attempt ever succeeds there is nothing to learn from"),
                at(stage.learner.span, f"starts from {name_of(stage.learner.init)}"),
            ],
            ["rewards choose among answers that the model can already give; whether it can is measured in seconds"],
            [f"require informative_rate({rows}) >= 10%"],
        )


def _shown_beside(view: View, stage: core.Stage, term: core.Term) -> bool:
    """Whether the stage itself imitates answers of others to the prompts that it explores (LUFFY, HPT)."""
    others = [source for each in stage.terms for source in sources(each) if source is not term.source]
    return any(
        not isinstance(author, core.Live) and view.domains.shared(term.source, source)
        for source in others
        for author in authors(source.type.provenance)
    )


def check_over_expanded_init(view: View, findings: Findings) -> None:
    """C602: many epochs of imitation directly before learning from rewards."""
    for stage in view.program.stages:
        before = view.lineage.stage_of(stage.learner.init)
        if before is None or not any(rewarded(term) for term in stage.terms):
            continue
        epochs = before.budget.count if before.budget.unit == "epochs" else 0
        imitates = all(supervised(term) for term in before.terms)
        first = bare(before.learner.init).kind == "new_model"  # there this is the pre-training
        if imitates and epochs > EPOCHS_BEFORE_RL and not first:
            findings.add(
                "C602",
                f"{epochs} epochs of imitation directly before learning from rewards",
                [
                    at(before.places.get("budget", before.span), f"`{before.name}` sees each row {epochs} times"),
                    at(stage.learner.span, f"`{stage.name}` has to explore from there"),
                ],
                ["a model that repeats its demonstrations tries little else: its score rises, what it can reach falls"],
                [f"budget = {EPOCHS_BEFORE_RL} epochs"],
            )


def check_cold_start_prompt_reuse(view: View, findings: Findings) -> None:
    """C603: rewards on the prompts whose answers were imitated before."""
    line = _imitated(view)
    for stage in view.program.stages:
        before = [shown for one in view.lineage.nearest(stage.learner.init) for shown in line[one]]
        for rollouts in (source for term in stage.terms if rewarded(term) for source in sources(term)):
            again = _again(view.domains.of(rollouts), before)
            if again is not None:
                _prompts_again(stage, rollouts, again.stage, again.source, findings)


@dataclass(frozen=True, eq=False)
class Shown:
    """Answers that a stage has imitated, and the prompts that they are to."""

    source: core.Source
    stage: core.Stage
    prompts: tuple[Strand, ...]


def _again(prompts: tuple[Strand, ...], before: list[Shown]) -> Shown | None:
    """The first answers to some of these prompts."""
    for shown in before:
        for strand in shown.prompts:
            for one in prompts:
                if one.overlaps(strand):
                    return shown
    return None


def _imitated(view: View) -> dict[core.Stage, tuple[Shown, ...]]:
    """For every stage the answers from outside that its line has imitated: one source for each set of prompts."""
    line: dict[core.Stage, tuple[Shown, ...]] = {}
    domains: dict[core.Stage, frozenset[tuple[Strand, ...]]] = {}
    for stage in view.program.stages:
        before = tuple(view.lineage.nearest(stage.learner.init))
        lines = [line[one] for one in before]
        shown = lines[0] if len(lines) == 1 else tuple(dict.fromkeys(one for each in lines for one in each))
        known = frozenset().union(*(domains[one] for one in before))
        imitated = (whole for term in stage.terms if supervised(term) for whole in sources(term))
        for source in (part for whole in imitated for part in addends(whole)):
            foreign = any(_from_outside(view, author) for author in authors(source.type.provenance))
            prompts = view.domains.of(source)
            if foreign and prompts not in known:
                shown = (*shown, Shown(source, stage, prompts))
                known |= {prompts}
        line[stage], domains[stage] = shown, known
    return line


def _from_outside(view: View, author: core.Provenance) -> bool:
    """Whether nobody in this program taught the author what it wrote."""
    return isinstance(author, core.External) or (
        isinstance(author, core.Fixed) and view.lineage.stage_of(author.model) is None
    )


def _prompts_again(
    stage: core.Stage, rollouts: core.Source, earlier: core.Stage, shown: core.Source, findings: Findings
) -> None:
    taken = f"without({shown.name})" if shown.name else "slice(0%, 80%)"
    findings.add(
        "C603",
        f"`{stage.name}` explores prompts whose answers `{earlier.name}` has imitated",
        [at(rollouts.span, "attempts at the same prompts"), at(shown.span, "their answers, shown before")],
        ["where the answer is remembered every attempt is right: the groups carry no signal"],
        [f"|> {taken} |> sample({stage.learner.name}, …)"],
    )


# After reinforcement learning -----------------------------------------------------------------------------------------


def check_sft_after_rl_unprotected(view: View, findings: Findings) -> None:
    """C604: imitation behind learning from rewards, with nothing that keeps what was learned there (2601.07389)."""
    from_rewards = {stage for stage in view.program.stages if any(map(rewarded, stage.terms))}
    for stage in view.program.stages:
        if not any(supervised(term) for term in stage.terms) or any(on_policy(term) for term in stage.terms):
            continue
        earlier = next((one for one in view.lineage.before(stage) if one in from_rewards), None)
        if earlier is None or _kept(view, stage, earlier):
            continue
        skill = next(iter(claimed(earlier)), None)
        prompts = prompts_name(earlier.terms[0].source) or "problems"
        rows = stage.terms[0].source.name or "rows"
        helps = [f"protect {skill.name} within 2 points"] if skill else []
        helps.append(f"{rows} + ({prompts} |> sample({earlier.name}, n = 1))")
        findings.add(
            "C604",
            f"`{stage.name}` imitates others after `{earlier.name}` has learned from rewards",
            [
                at(stage.learner.span, f"starts from what `{earlier.name}` has become"),
                at(earlier.span, "what it learned is in no row, and nobody watches over it"),
            ],
            ["imitation raises the likelihood of what others wrote, and undoes what rewards have chosen"],
            helps,
        )


def _kept(view: View, stage: core.Stage, earlier: core.Stage) -> bool:
    """Whether rows, a teacher, an anchor or a protected eval hold on to what a stage has learned."""
    if any(earlier in view.lineage.behind(role.init) for role in (*teachers(stage), *_anchored(stage))):
        return True
    for source in (source for term in stage.terms for source in sources(term)):
        if any(step.type.replayed for step in source.upstream()):
            return True
        for author in authors(source.type.provenance):
            if isinstance(author, core.Fixed) and earlier in view.lineage.behind(author.model):
                return True
    protected = {protect.eval for protect in view.program.protects}
    return any(measured_eval in protected for measured_eval in claimed(earlier))


def _anchored(stage: core.Stage) -> tuple[core.Role, ...]:
    return tuple(anchor for term in stage.terms for anchor in term.anchors)


def check_ancestor_teacher_regression(view: View, findings: Findings) -> None:
    """C605: a teacher from before a stage, on that stage's own prompts: the student returns to where it was."""
    for stage in view.program.stages:
        student = stage.learner
        for teacher in teachers(stage):
            if teacher.verb != "freeze" or not view.lineage.is_ancestor(teacher.init, student.init):
                continue
            known = {one for role in teachers(stage) for one in view.lineage.behind(role.init)}
            for between in view.lineage.before(stage):
                consolidates = any(claim.role == "consolidates" for claim in between.claims)
                if between not in known and not consolidates:
                    _returns(view, stage, teacher, between, findings)


def _returns(view: View, stage: core.Stage, teacher: core.Role, between: core.Stage, findings: Findings) -> None:
    taught, learned = view.domain(stage), view.domain(between)
    contained = bool(learned) and all(any(strand.contains(other) for strand in taught) for other in learned)
    if not contained and not any(strand.overlaps(other) for strand in taught for other in learned):
        return
    prompts = prompts_name(between.terms[0].source)
    elsewhere = [f"|> without({prompts}) |> sample({stage.learner.name}, …)"] if prompts else []
    findings.add(
        "C605",
        f"`{teacher.name}` has not been through `{between.name}`, and teaches on its prompts",
        [
            at(teacher.span, f"{name_of(teacher.init)}, from before `{between.name}`"),
            at(between.span, f"learned on {'these' if contained else 'some of these'} prompts, later"),
        ],
        ["the student would be pulled back to the answers that it gave before"],
        [f"freeze {teacher.name} = {between.name}", *elsewhere],
        severity="error" if contained else "warning",
    )


# Claims along the line ------------------------------------------------------------------------------------------------


def check_claim_unprotected(view: View, findings: Findings) -> None:
    """C608: what a stage has claimed, and a later stage does not look at; of several claims on a line the last one."""
    open_: dict[core.Stage, dict[core.Eval, core.Stage]] = {}
    told: set[tuple[core.Stage, core.Eval]] = set()
    for stage in view.program.stages:
        before = {
            skill: one for earlier in view.lineage.nearest(stage.learner.init) for skill, one in open_[earlier].items()
        }
        for skill, claimant in before.items():
            if skill not in view.guarded and skill not in view.measured(stage) and (claimant, skill) not in told:
                told.add((claimant, skill))
                _lost_claim(stage, claimant, skill, findings)
        open_[stage] = before | dict.fromkeys(claimed(stage), stage)


def _lost_claim(blind: core.Stage, claimant: core.Stage, skill: core.Eval, findings: Findings) -> None:
    claim = next(claim for claim in claimant.claims if claim.eval is skill)
    findings.add(
        "C608",
        f"`{blind.name}` may lose what `{claimant.name}` claims on `{skill.name}`, and nobody looks",
        [at(blind.span, "goes on training the same weights"), at(claim.span, "claimed here")],
        helps=[f"protect {skill.name} within 2 points", f"report {skill.name}"],
    )


def check_no_exit_criterion(view: View, findings: Findings) -> None:
    """C613: a stage that hands over after its budget, whatever it has become."""
    for stage in view.program.stages:
        following = next(iter(view.lineage.successors(stage)), None)
        if following is None or view.measured(stage) or stage.gates or view.program.reports or view.program.protects:
            continue
        if any(gate.when == "require" for gate in following.gates):
            continue
        findings.add(
            "C613",
            f"`{stage.name}` hands over to `{following.name}` when its budget is spent, whatever it has become",
            [
                at(stage.places.get("budget", stage.span), "the only end"),
                at(following.learner.span, f"`{following.name}` starts from there"),
            ],
            helps=[_exit(view)],
        )


def _exit(view: View) -> str:
    """A gate on an eval of the program, as it is written."""
    rate = next((one.name for one in view.program.evals if one.kind != "bits_per_character"), None)
    text = next((one.name for one in view.program.evals if one.kind == "bits_per_character"), None)
    return f"ensure {text} <= 1" if text and not rate else f"ensure {rate or 'skill'} >= 20%"


def check_verifier_starves_successor(view: View, findings: Findings) -> None:
    """C609: one reward after another on the same weights, without a look at whether the second finds a signal
    (2608.00220: pass@1 +6.5, best@32 -9.8 on IFEval)."""
    for stage in view.program.stages:
        before = view.lineage.stage_of(stage.learner.init)
        second, first = _scored(stage), _scored(before) if before is not None else None
        if before is None or second is None or first is None or any(gate.when == "require" for gate in stage.gates):
            continue
        names = [{scorer.name for scorer in rows.type.scorers} for rows in (second, first)]
        if names[0] and names[1] and not names[0] & names[1]:
            findings.add(
                "C609",
                f"`{stage.name}` rewards something else than `{before.name}` before it",
                [
                    at(_score_place(second), f"rewarded by {_listed(second)}"),
                    at(_score_place(first), f"before that by {_listed(first)}"),
                ],
                ["the first reward narrows what the policy tries: the second may find groups without a difference"],
                [f"require informative_rate({second.name or 'rollouts'}) >= 10%"],
            )


def _scored(stage: core.Stage) -> core.Source | None:
    """The scored rollouts of a stage that learns from rewards."""
    return next((term.source for term in stage.terms if rewarded(term)), None)


def _score_place(rows: core.Source) -> Span:
    score = step_of(rows, "score")
    return score.span if score is not None else rows.span


def _listed(rows: core.Source) -> str:
    return " and ".join(f"`{name}`" for name in dict.fromkeys(scorer.name for scorer in rows.type.scorers))


def check_safety_unwatched(view: View, findings: Findings) -> None:
    """C614: a model that was aligned for safety is trained on, and nothing watches over its refusals (2410.08847)."""
    watched = {protect.eval for protect in view.program.protects} | {
        one for stage in view.program.stages for one in gated(stage)
    }
    if any(one.tag == "safety" for one in watched):
        return
    seen: set[int] = set()
    tagged = next((one.name for one in view.program.evals if one.tag == "safety"), None)
    for stage in view.program.stages:
        for root in view.lineage.roots(stage.learner.init):
            if root.type.aligned and id(root) not in seen and stage.learner.type.head == "language":
                seen.add(id(root))
                declare = ['eval refusals = pass_rate(…, tag = "safety")'] if tagged is None else []
                findings.add(
                    "C614",
                    f"{name_of(root)} was aligned, and nothing watches over its refusals",
                    [at(stage.learner.span, "trained on from here"), at(root.span, "declared aligned")],
                    ["further training on harmless data can take refusals away (74.4% to 33.4% in 2410.08847)"],
                    [*declare, f"protect {tagged or 'refusals'} within 2 points"],
                )
