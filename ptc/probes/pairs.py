"""Pairs that teach nothing, or something else than meant: ties, doubles, near-doubles, and a preference for length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from difflib import SequenceMatcher
from statistics import fmean
from typing import Any

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.probes.view import Lesson, Shown, View
from ptc.probes.wording import examples, excerpt, named, share
from ptc.runtime.overlap import words
from ptc.runtime.rendering.conversations import SIDES, Conversation, pair, spoken
from ptc.runtime.rendering.tables import records

ALIKE = 0.95
"""Share of equal words from which two answers are near-identical (engineering default)."""
FEW = 0.05
"""Share of near-identical pairs from which they are mentioned (engineering default)."""
LENGTHS = 1.5
"""How much longer one side may be on average, where a loss sums over tokens (engineering default)."""
ENOUGH = 8
"""Pairs whose lengths say something."""
LONGEST = 400
"""Words of an answer that are compared."""


def check_pair_degenerate(view: View, findings: Findings) -> None:
    """D408: what is wrong with the pairs of a source, in one finding."""
    for lesson in view.lessons:
        shown = view.shown(lesson)
        if shown is None or not set(SIDES) <= set(lesson.columns):
            continue
        said = {row: text for row, record in enumerate(records(shown.drawn.table)) if (text := _said(record))}
        wrong = [*_tied(view, shown, said), *_doubled(view, shown, said), *_alike(view, shown, said)]
        lopsided = _lopsided(lesson, shown)
        if wrong or lopsided:
            findings.add(
                "D408",
                f"pairs of {named(lesson.source)} prefer nothing: {wrong[0]}"
                if wrong
                else f"the pairs of {named(lesson.source)} prefer by length: {lopsided[0]}",
                [at(lesson.place, "learned here"), at(lesson.source.span, "the pairs come from here")],
                [*wrong[1:], *(lopsided if wrong else lopsided[1:])],
                ["|> keep(distance(.chosen, .rejected) > 0.05)"] if wrong else [],
            )


Said = Mapping[int, tuple[str, str, str]]
"""By row: what was asked, and the two answers."""


def _said(record: Mapping[str, Any]) -> tuple[str, str, str] | None:
    chosen, rejected = pair(record)
    if not isinstance(chosen, Conversation) or not isinstance(rejected, Conversation):
        return None
    answers = (spoken(side.messages[side.learned :]) for side in (chosen, rejected))
    return (spoken(chosen.prompt), *answers)  # type: ignore[return-value]


def _tied(view: View, shown: Shown, said: Said) -> list[str]:
    rows = [(row, f"both are {excerpt(chosen)}") for row, (_, chosen, rejected) in said.items() if chosen == rejected]
    return _told(view, shown, rows, "are tied: both sides are one text")


def _doubled(view: View, shown: Shown, said: Said) -> list[str]:
    counted = Counter(said.values())
    seen: set[tuple[str, str, str]] = set()
    rows = []
    for row, text in said.items():
        if text in seen:
            rows.append((row, f"stands there {counted[text]} times: {excerpt(text[1])}"))
        seen.add(text)
    return _told(view, shown, rows, "are doubles of others")


def _alike(view: View, shown: Shown, said: Said) -> list[str]:
    rows = []
    for row, (_, chosen, rejected) in said.items():
        if chosen == rejected:
            continue
        first, second = words(chosen)[:LONGEST], words(rejected)[:LONGEST]
        matcher = SequenceMatcher(None, first, second, autojunk=False)
        if matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE:
            rows.append((row, f"{excerpt(chosen)} and {excerpt(rejected)}"))
    return _told(view, shown, rows, "are near-identical") if len(rows) >= max(1, FEW * len(said)) else []


def _told(view: View, shown: Shown, rows: list[tuple[int, str]], what: str) -> list[str]:
    if not rows:
        return []
    return [f"{share(len(rows), len(shown.drawn))} {what}", *examples(view.drawer, shown.drawn, rows)]


def _lopsided(lesson: Lesson, shown: Shown) -> list[str]:
    """One side is much longer, and the loss adds up what each token contributes."""
    if not _sums(lesson.term.loss):
        return []
    parts = [part for row in shown.rendered for part in row.parts]
    if len(parts) < ENOUGH:
        return []
    chosen, rejected = (fmean(part[side].trained for part in parts) for side in SIDES)
    longer, most, least = ("chosen", chosen, rejected) if chosen > rejected else ("rejected", rejected, chosen)
    if most < LENGTHS * least:
        return []
    return [
        f"`{longer}` has {most:.0f} tokens on average, the other side {least:.0f}",
        f"`{lesson.term.objective}` sums over tokens, so that length alone makes a margin",
    ]


def _sums(loss: core.Expression) -> bool:
    """Whether somewhere log-probabilities are added up over tokens and not divided by their number."""
    return any(
        part.op == "sum" and "token" in (part.fields.get("over") or ()) and any(arg.op == "logp" for arg in part.walk())
        for part in loss.walk()
    ) and not any(part.op == "length" for part in loss.walk())
