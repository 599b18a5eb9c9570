"""Checks of what judges: rewards, verifiers, judges, and the benchmarks that results are told by."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import contaminated, core
from ptc.compiler.checks.evals import judged
from ptc.compiler.checks.loops import scored, weights
from ptc.compiler.checks.view import View, anchors, gated, name_of
from ptc.compiler.findings import Findings, at
from ptc.compiler.graph import canonical
from ptc.compiler.lineage import bare, rewarded
from ptc.lang.diagnostic import Severity

DOMINATES = 10.0
"""How many times the weighted range of one reward may exceed that of another (engineering default)."""


# What is rewarded is what is measured ---------------------------------------------------------------------------------


def check_reward_is_metric(view: View, findings: Findings) -> None:
    """V703: a learned judge trains, and what is reported is told by the same judge alone (Bai et al., secondary)."""
    _reward_is_metric(view, True, findings)


def note_reward_is_metric(view: View, findings: Findings) -> None:
    """V703 as a note: a rule trains, and what is reported is told by the same rule alone."""
    _reward_is_metric(view, False, findings, "note")


def _reward_is_metric(view: View, learned: bool, findings: Findings, severity: Severity | None = None) -> None:
    reports = tuple(dict.fromkeys(view.program.reports))
    rewards: dict[str, tuple[core.Stage, core.Scorer]] = {}
    for stage, _, scorer in scored(view):
        if stage in view.published:
            rewards.setdefault(_key(scorer), (stage, scorer))
    if not all(one.scorers and all(_key(scorer) in rewards for scorer in one.scorers) for one in reports):
        return
    for one in reports:
        if any(scorer.learned for scorer in one.scorers) is not learned:
            continue
        stage, scorer = rewards[_key(one.scorers[0])]
        findings.add(
            "V703",
            f"`{one.name}` is told by what trained: `{scorer.name}`",
            [at(one.span, "reported"), at(scorer.span, f"chooses what `{stage.name}` learns")],
            ["what learns to please a judge pleases it; whether it has become better is for another to say"],
            [f"report {one.name}, another    # judged by a rule, or by a model of another family"],
            severity=severity,
        )


def _key(scorer: core.Scorer) -> str:
    """What judges, its weight aside."""
    judge = weights(scorer)
    return canonical([scorer.kind, scorer.document, id(bare(judge)) if judge is not None else None])


# Learned rewards ------------------------------------------------------------------------------------------------------


def check_learned_reward_no_kl(view: View, findings: Findings) -> None:
    """V704: a learned reward, with nothing that stops the policy from running away from it (Gao et al., 2210.10760)."""
    for stage, step, scorer in scored(view):
        term = next((term for term in stage.terms if rewarded(term)), None)
        if term is None or not scorer.learned or scorer.weight == 0 or step.live is None or _held(stage):
            continue
        start = stage.learner.init.name or "base"
        kl = ["kl = 0.001"] if "kl" in term.numbers else []
        findings.add(
            "V704",
            f"`{stage.learner.name}` is rewarded by `{scorer.name}`, a model, and nothing holds it back",
            [at(scorer.span, "a learned reward"), at(term.span, "no divergence from where it started")],
            ["a policy that may go anywhere finds what its judge overrates: the reward rises, the quality falls"],
            [*kl, f"ensure kl({start}) <= 0.2", "ensure skill >= 20%"],
        )


def _held(stage: core.Stage) -> bool:
    """Whether an anchor, a limit on the divergence, or an eval that no model judges holds a stage back."""
    limited = any(gate.when == "ensure" and gate.measure == "kl" for gate in stage.gates)
    golden = any(one.scorers and not any(s.learned for s in one.scorers) for one in gated(stage, "ensure"))
    return bool(anchors(stage)) or limited or golden


# One name, one judge --------------------------------------------------------------------------------------------------


def check_verifier_version_drift(view: View, findings: Findings) -> None:
    """V705: one name for two judges: what trained is not what the result is told by."""
    used: dict[str, dict[str, core.Scorer]] = {}
    for _, _, scorer in scored(view):
        if not scorer.learned:
            used.setdefault(scorer.name, {})[canonical(scorer.document)] = scorer
    told: dict[str, set[str]] = {}
    for one in judged(view):
        for scorer in one.scorers:
            told.setdefault(scorer.name, set()).add(canonical(scorer.document))
    for one in judged(view):
        for scorer in one.scorers:
            trained = used.get(scorer.name, {})
            if trained and not told[scorer.name] & set(trained):
                other = next(iter(trained.values()))
                findings.add(
                    "V705",
                    f"`{scorer.name}` judges `{one.name}` otherwise than it has rewarded",
                    [at(scorer.span, _spelled(scorer)), at(other.span, _spelled(other))],
                    ["two judges under one name: a rise may be the difference between them"],
                    [_spelled(other)],
                )


def _spelled(scorer: core.Scorer) -> str:
    """A scorer as a program writes it: ``format_tags(tags = ["answer"])``."""
    options = {**scorer.document.get("options", {})}
    options |= {key: scorer.document[key] for key in ("target", "version") if key in scorer.document}
    given = ", ".join(f"{name} = {canonical(value).replace(',', ', ')}" for name, value in options.items())
    return f"{scorer.name}({given})" if given else scorer.name


# Sums -----------------------------------------------------------------------------------------------------------------


def check_reward_sum_domination(view: View, findings: Findings) -> None:
    """V706: a sum of rewards in which one drowns another."""
    told: set[int] = set()
    for _, step, _ in scored(view):
        if id(step) in told:
            continue
        told.add(id(step))
        ranges = sorted(_ranges(step), key=lambda pair: pair[0])
        if len(ranges) > 1 and ranges[-1][0] > DOMINATES * ranges[0][0] * (1 + 1e-9):
            (small, drowned), (large, loud) = ranges[0], ranges[-1]
            weight = large / (DOMINATES * small / abs(drowned.weight))
            findings.add(
                "V706",
                f"`{loud.name}` weighs {large / small:g} times as much as `{drowned.name}`",
                [
                    at(drowned.span, f"moves the sum by {small:g} at most"),
                    at(loud.span, f"moves it by {large:g}"),
                ],
                ["within a group the larger differences decide; the smaller are lost in them"],
                [f"{weight:g} * {drowned.name}"],
            )


def _ranges(step: core.Source) -> Iterator[tuple[float, core.Scorer]]:
    """How far each summand can move the sum, where its scores have bounds."""
    for scorer in step.type.scorers:
        if scorer.least is not None and scorer.most is not None and scorer.weight:
            yield abs(scorer.weight) * (scorer.most - scorer.least), scorer


# Benchmarks -----------------------------------------------------------------------------------------------------------


def check_known_contaminated_pair(view: View, findings: Findings) -> None:
    """V707: a benchmark that the family of the model is known to have seen."""
    for one, stages in judged(view).items():
        datasets = [s.source for s in view.domains.of(one.source) if s.source.kind == "hub_dataset"]
        roots = dict.fromkeys(root for stage in stages for root in view.lineage.roots(stage.learner.init))
        told: set[tuple[str, str]] = set()  # five sizes of one family have seen what one has seen
        for root in (root for root in roots if root.kind == "hub_model"):
            for dataset in datasets:
                pair = contaminated.known(str(root.settings["name"]), str(dataset.settings["name"]))
                if pair is not None and pair.called not in told:
                    told.add(pair.called)
                    family, benchmark = pair.called
                    findings.add(
                        "V707",
                        f"{family} is known to have seen {benchmark}",
                        [
                            at(one.span, f"`{one.name}` measures on {benchmark}"),
                            at(root.span, f"{name_of(root)} is of the family {family}"),
                        ],
                        [pair.evidence + f" ({pair.source})", "what rises here may be recall and not skill"],
                        ["measure on a set that was published after the model, or generate one:  gym(…)"],
                    )
