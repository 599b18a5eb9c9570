"""Verifiers put to the test, where they will judge: on gold answers, on wrong ones, and on what only looks like one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.probes.columns import scored_sources
from ptc.probes.drawing import Drawn
from ptc.probes.view import View
from ptc.probes.wording import examples, excerpt, named, share
from ptc.runtime.artifacts import InvariantBroken, ResourceMissing
from ptc.runtime.rewards import words
from ptc.runtime.verifier_pool import Judge
from ptc.stdlib.known_wrong import known_wrong
from ptc.stdlib.signatures import VERIFIERS
from ptc.stdlib.verifiers import Pass, Refused, Verdict, gold_response

UNREADABLE = 0.1
"""Share of unreadable gold answers from which nothing can be learned of the rest (engineering default)."""
FALSE_POSITIVES = 0.05
"""Share of wrong responses that may pass (engineering default)."""


@dataclass(frozen=True)
class Tried:
    """What a verifier says of gold answers, and of responses that are wrong."""

    scorer: core.Scorer
    drawn: Drawn
    rows: Sequence[int]
    """The rows with a gold answer."""
    golds: Sequence[str]
    gold: Sequence[Verdict]
    wrong: Sequence[tuple[int, str]]
    """Wrong responses, with the row that each was given to."""
    verdicts: Sequence[Verdict]

    @property
    def unreadable(self) -> list[int]:
        return [row for row, verdict in zip(self.rows, self.gold, strict=True) if isinstance(verdict, Refused)]

    @property
    def gold_right(self) -> float:
        """True positive rate, over the gold answers that can be read."""
        read = [verdict for verdict in self.gold if not isinstance(verdict, Refused)]
        return sum(map(_right, read)) / len(read) if read else 0.0

    @property
    def wrong_right(self) -> float:
        """False positive rate."""
        return sum(map(_right, self.verdicts)) / len(self.verdicts) if self.verdicts else 0.0


def _right(verdict: Verdict) -> bool:
    return isinstance(verdict, Pass) and verdict.score >= 1


def check_verifiers(view: View, findings: Findings) -> None:
    """V710, V713: verifiers that tell right from wrong badly, and gold answers that they cannot read."""
    for tried, source in _all_tried(view):
        unreadable = tried.unreadable
        if unreadable:
            _gold_unreadable(view, findings, tried, source, unreadable)
        if len(unreadable) < len(tried.rows):
            _informedness(view, findings, tried, source)


def _all_tried(view: View) -> Iterator[tuple[Tried, core.Source]]:
    """Each verifier on each source of gold answers, once."""
    taken: set[tuple[str, int]] = set()
    for source, scorers in scored_sources(view.program):
        drawn = view.drawer.prompts(source)
        for scorer in scorers if drawn is not None else ():
            signature = VERIFIERS.get(scorer.name) if scorer.kind == "verifier" else None
            key = (str(scorer.document), id(drawn))
            if drawn is None or signature is None or not signature.columns or key in taken:
                continue
            taken.add(key)
            if set(signature.columns) <= set(drawn.table.column_names):
                tried = _tried(scorer, drawn.spread(view.limits.rows))
                if tried is not None:
                    yield tried, source


def _tried(scorer: core.Scorer, drawn: Drawn) -> Tried | None:
    rows = drawn.table.select(list(VERIFIERS[scorer.name].columns)).to_pylist()
    golds = [(row, gold) for row, record in enumerate(rows) if (gold := _gold(scorer.name, record)) is not None]
    if not golds:
        return None
    wrong = list(known_wrong(golds))
    asked = [{**rows[row], "response": gold} for row, gold in golds]
    asked += [{**rows[row], "response": response} for row, response in wrong]
    try:
        with Judge(scorer.document, workers=2) as judge:
            verdicts = judge.verdicts(asked)
    except (ResourceMissing, InvariantBroken):  # not installed here, or does not start: a run says so
        return None
    count = len(golds)
    numbers, texts = zip(*golds, strict=True)
    return Tried(scorer, drawn, numbers, texts, verdicts[:count], wrong, verdicts[count:])


def _gold(verifier: str, record: Mapping[str, Any]) -> str | None:
    value = record.get("answer", "")
    return gold_response(verifier, record) if isinstance(value, str | int | float | None) else None


def _gold_unreadable(view: View, findings: Findings, tried: Tried, source: core.Source, rows: Sequence[int]) -> None:
    known = dict(zip(tried.rows, tried.golds, strict=True))
    findings.add(
        "V713",
        f"`{tried.scorer.name}` cannot read {share(len(rows), len(tried.rows), 'gold answers')}",
        [at(tried.scorer.span, "reads `.answer`"), at(source.span, "the gold answers come from here")],
        examples(view.drawer, tried.drawn, [(row, excerpt(known[row])) for row in rows]),
        ["|> keep(length(.answer) > 0)", "score(exact)"],
        severity="error" if len(rows) > UNREADABLE * len(tried.rows) else None,
    )


def _informedness(view: View, findings: Findings, tried: Tried, source: core.Source) -> None:
    """J = TPR - FPR: at 0 or below a verifier says nothing of a response (2601.04411)."""
    true, false = tried.gold_right, tried.wrong_right
    if true - false > 0 and false <= FALSE_POSITIVES:
        return
    missed = [
        (row, f"gold {excerpt(gold)} is judged {words(verdict)}")
        for row, gold, verdict in zip(tried.rows, tried.golds, tried.gold, strict=True)
        if not _right(verdict) and not isinstance(verdict, Refused)
    ]
    passed = [
        (row, f"{excerpt(response)} passes for {excerpt(_gold_of(tried, row))}")
        for (row, response), verdict in zip(tried.wrong, tried.verdicts, strict=True)
        if _right(verdict)
    ]
    shown = [each for pair in zip_longest(passed, missed) for each in pair if each is not None]
    useless = true - false <= 0
    findings.add(
        "V710",
        f"`{tried.scorer.name}` does not tell right from wrong on {named(source)}"
        if useless
        else f"`{tried.scorer.name}` passes {false:.0%} of responses that are wrong on {named(source)}",
        [at(tried.scorer.span, "judges"), at(source.span, "these rows")],
        [
            f"it finds {true:.0%} of gold answers right, and {false:.0%} of wrong ones",
            *examples(view.drawer, tried.drawn, shown),
        ],
        ['extern verifier mine(response: Text, answer: Text) -> Real = "my_lab.verify:run"'],
        severity="error" if useless else "warning",
    )


def _gold_of(tried: Tried, row: int) -> str:
    return tried.golds[list(tried.rows).index(row)]


# What a verifier wants to see -----------------------------------------------------------------------------------------


def check_verifier_contract(view: View, findings: Findings) -> None:
    """V709: a marker that a verifier looks for, and that nothing the model has seen asks for."""
    taken: set[int] = set()
    for source, scorers in scored_sources(view.program):
        for scorer in scorers:
            drawn = view.drawer.prompts(source)
            if scorer.marker is None or drawn is None or scorer.span.start in taken:
                continue
            taken.add(scorer.span.start)
            if not _mentioned(view, source, drawn, scorer.marker):
                findings.add(
                    "V709",
                    f"`{scorer.name}` looks for `{scorer.marker}`, and no prompt asks for it",
                    [at(scorer.span, "wants it in every response"), at(source.span, "the prompts")],
                    ["without it every response fails, whatever it says"],
                    [f'|> chat("… {scorer.marker} …")'],
                )


def _mentioned(view: View, source: core.Source, drawn: Drawn, marker: str) -> bool:
    """Whether prompts, a template, or the answers that a model has imitated hold a marker."""
    if any(marker in str(row) for row in drawn.spread(view.limits.rows).table.to_pylist()):
        return True
    sampled = [step.inputs.get("model") for step in source.upstream() if step.kind == "sample"]
    models = [thing.init if isinstance(thing, core.Role) else thing for thing in sampled]
    learners = [stage.model for stage in view.program.stages] if not models else []
    for model in (each for each in (*models, *learners) if isinstance(each, core.Model)):
        headers = view.headers(model)
        if headers is not None and marker in (headers.tokenizer.chat_template or ""):
            return True
        for lesson in view.lessons:
            rows = view.drawer.rows(lesson.source) if lesson.stage in view.whole.lineage.behind(model) else None
            if rows is not None and any(marker in str(row) for row in rows.spread(view.limits.rows).table.to_pylist()):
                return True
    return False


# What an eval can show ------------------------------------------------------------------------------------------------


def check_guessable(view: View, findings: Findings) -> None:
    """V711: so few different gold answers that k attempts hit one by chance."""
    seen: set[int] = set()
    for measured in (claim.eval for stage in view.program.stages for claim in stage.claims):
        drawn = view.drawer.prompts(measured.source)
        k = int(measured.settings.get("n", 1))
        if drawn is None or id(measured) in seen or "answer" not in drawn.table.column_names:
            continue
        seen.add(id(measured))
        golds = Counter(str(value) for value in drawn.table.column("answer").to_pylist() if value is not None)
        total = sum(golds.values())
        chance = 1 - (1 - 1 / len(golds)) ** k if golds else 0.0
        if chance >= 0.5 and total >= 5 * len(golds):
            most = ", ".join(f"{excerpt(text)} ({count})" for text, count in golds.most_common(3))
            findings.add(
                "V711",
                f"`{measured.name}` can be guessed: {len(golds)} different answers, and {k} attempts at each prompt",
                [at(measured.span, f"{chance:.0%} of prompts are solved by chance at k = {k}")],
                [f"the answers of {total:,} prompts: {most}"],
                ["n = 1"],
            )
