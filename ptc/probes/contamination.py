"""Prompts that are learned from and asked again: in an eval, or in a later stage that is to explore them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ptc.compiler import core
from ptc.compiler.checks.evals import judged, watched_only
from ptc.compiler.checks.view import prompts_name, teachers
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import authors, rewarded, sources, supervised
from ptc.lang.diagnostic import Severity
from ptc.probes.drawing import Drawn
from ptc.probes.view import View
from ptc.probes.wording import EXAMPLES, excerpt, share
from ptc.runtime.overlap import Match, Prompts, matches

HOW = {"exactly": "is", "but for case and spacing": "is, but for case and spacing,", "in words": "is worded like"}
FEW = 0.01
"""Share of an eval's prompts that may be worded like others, and no more than that (engineering default)."""


@dataclass(frozen=True)
class Asked:
    """Rows, and what they ask."""

    drawn: Drawn
    prompts: Prompts

    @property
    def texts(self) -> list[str]:
        return self.prompts.texts


@dataclass
class Compared:
    """The prompts of each source, read once."""

    view: View
    vocabulary: dict[str, int] = field(default_factory=dict)
    known: dict[int, Asked | None] = field(default_factory=dict)

    def prompts(self, source: core.Source) -> Asked | None:
        if id(source) not in self.known:
            drawn = self.view.drawer.upstream(source)
            words = self.view.limits.words
            self.known[id(source)] = Asked(drawn, Prompts(drawn.table, self.vocabulary, words)) if drawn else None
        return self.known[id(source)]

    def shared(self, asked: core.Source, learned: core.Source) -> tuple[Asked, Asked, list[Match]] | None:
        """The prompts of one source that another holds; None where there are none, or the text says so already."""
        if self.view.domains.shared(asked, learned) is not None:
            return None
        first, second = self.prompts(asked), self.prompts(learned)
        if first is None or second is None:
            return None
        found = matches(first.prompts, second.prompts, loosely=not _one_generator(asked, learned))
        return (first, second, found) if found else None


def _one_generator(first: core.Source, second: core.Source) -> bool:
    tasks = [{step.settings["task"] for step in one.upstream() if step.kind == "gym"} for one in (first, second)]
    return bool(tasks[0] & tasks[1])


def check_train_eval_overlap(view: View, findings: Findings) -> None:
    """D407: prompts of a judged eval among those that the judged model has learned from; a note if only watched."""
    compared = Compared(view)
    for measured, stages in judged(view.whole).items():
        _report_overlaps(compared, findings, measured, stages, None)
    for measured, stages in watched_only(view.whole).items():
        _report_overlaps(compared, findings, measured, stages, "note")


def _report_overlaps(
    compared: Compared,
    findings: Findings,
    measured: core.Eval,
    stages: Sequence[core.Stage],
    severity: Severity | None,
) -> None:
    for stage, source in _learned(compared.view, stages):
        shared = compared.shared(measured.source, source)
        if shared is None:
            continue
        asked, known, found = shared
        place = measured.places.get("source", measured.span)
        rows = prompts_name(source) or source.name or "rows"
        taken = measured.source.name or prompts_name(measured.source) or measured.name
        findings.add(
            "D407",
            f"{share(len(found), len(asked.texts), 'prompts')} of `{measured.name}` are in what "
            f"`{stage.name}` learns from",
            [at(place, "asked here"), at(source.span, "learned here")],
            _pairs(compared.view, asked, known, found),
            [f"{rows} |> without({taken})"],
            severity=severity or _weight(found, len(asked.texts)),
        )


def _weight(found: Sequence[Match], prompts: int) -> Severity:
    """A few prompts that are worded like others weigh less than one that stands there itself."""
    itself = any(match.how != "in words" for match in found)
    return "error" if itself or len(found) > FEW * prompts else "warning"


def _learned(view: View, stages: Sequence[core.Stage]) -> Iterator[tuple[core.Stage, core.Source]]:
    """Everything that some stages, and those before them, learn from, each once."""
    behind = [one for stage in stages for one in (stage, *view.whole.lineage.upstream(stage))]
    seen: set[int] = set()
    for stage in dict.fromkeys(behind):
        for source in (source for term in stage.terms for source in sources(term)):
            if id(source) not in seen:
                seen.add(id(source))
                yield stage, source


def _pairs(view: View, asked: Asked, known: Asked, found: Sequence[Match]) -> list[str]:
    notes = [
        f"{view.row(asked.drawn, match.row)} {HOW[match.how]} {view.row(known.drawn, match.other)}: "
        f"{excerpt(asked.texts[match.row])}"
        for match in found[:EXAMPLES]
    ]
    more = len(found) - EXAMPLES
    return [*notes, f"and {more:,} more"] if more > 0 else notes


# Stages in a row ------------------------------------------------------------------------------------------------------


def check_cold_start_prompt_reuse(view: View, findings: Findings) -> None:
    """C603 by row: rewards on prompts whose answers, written by others, were imitated before."""
    compared = Compared(view)
    for stage in view.program.stages:
        for term in (term for term in stage.terms if rewarded(term)):
            for earlier, shown in _imitated(view, stage):
                shared = compared.shared(term.source, shown)
                if shared is None:
                    continue
                asked, known, found = shared
                taken = f"without({shown.name})" if shown.name else "slice(0%, 80%)"
                findings.add(
                    "C603",
                    f"`{stage.name}` explores {share(len(found), len(asked.texts), 'prompts')} "
                    f"whose answers `{earlier.name}` has imitated",
                    [
                        at(term.source.span, "attempts at the same prompts"),
                        at(shown.span, "their answers, shown before"),
                    ],
                    _pairs(view, asked, known, found),
                    [f"|> {taken} |> sample({stage.learner.name}, …)"],
                )


def _imitated(view: View, stage: core.Stage) -> Iterator[tuple[core.Stage, core.Source]]:
    """What the stages before have imitated that was written outside the program."""
    for earlier in view.whole.lineage.before(stage):
        for term in (term for term in earlier.terms if supervised(term)):
            for source in sources(term):
                if any(_from_outside(view, author) for author in authors(source.type.provenance)):
                    yield earlier, source


def _from_outside(view: View, author: core.Provenance) -> bool:
    fixed = isinstance(author, core.Fixed) and view.whole.lineage.stage_of(author.model) is None
    return fixed or isinstance(author, core.External)


def check_ancestor_teacher_regression(view: View, findings: Findings) -> None:
    """C605 by row: a teacher from before a stage, on prompts of that stage."""
    compared = Compared(view)
    lineage = view.whole.lineage
    for stage in view.program.stages:
        for teacher in teachers(stage):
            if teacher.verb != "freeze" or not lineage.is_ancestor(teacher.init, stage.learner.init):
                continue
            known = lineage.behind(teacher.init)
            for between in lineage.before(stage):
                if between in known or any(claim.role == "consolidates" for claim in between.claims):
                    continue
                for taught in (source for term in stage.terms for source in sources(term)):
                    for learned in (source for term in between.terms for source in sources(term)):
                        shared = compared.shared(learned, taught)
                        if shared is None:
                            continue
                        asked, rows, found = shared
                        findings.add(
                            "C605",
                            f"`{teacher.name}` has not been through `{between.name}`, and teaches on its prompts",
                            [
                                at(teacher.span, f"from before `{between.name}`"),
                                at(between.span, f"{share(len(found), len(asked.texts), 'prompts')} are taught again"),
                            ],
                            _pairs(view, asked, rows, found),
                            [f"freeze {teacher.name} = {between.name}"],
                            severity="error" if len(found) == len(asked.texts) else "warning",
                        )
