"""Checks of what judges: rewards, verifiers, judges, and the benchmarks that results are told by."""

from __future__ import annotations

from ptc.compiler import contaminated
from ptc.compiler.checks.evals import judged
from ptc.compiler.checks.view import View, name_of
from ptc.compiler.findings import Findings, at


def check_known_contaminated_pair(view: View, findings: Findings) -> None:
    """V707: a benchmark that the family of the model is known to have seen."""
    for one, stages in judged(view).items():
        datasets = [s.source for s in view.domains.of(one.source) if s.source.kind == "hub_dataset"]
        roots = dict.fromkeys(root for stage in stages for root in view.lineage.roots(stage.learner.init))
        for root in (root for root in roots if root.kind == "hub_model"):
            for dataset in datasets:
                pair = contaminated.known(str(root.settings["name"]), str(dataset.settings["name"]))
                if pair is not None:
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
