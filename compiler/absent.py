"""D402: what a program names and nobody has looked at: one note for all of it, because there is one remedy."""

from __future__ import annotations

from collections.abc import Sequence

from ptc.compiler.findings import Absent, Findings, at

MOST_PLACES = 6
"""Places that are shown; the names are all listed."""


def note_absent(findings: Findings, fetched: bool) -> None:
    """Two notes at most: of what lies on the hub, and of what should lie here. `fetched`: the hub has been asked."""
    remedies = () if fetched else ("ptc lock FILE", "ptc check --data FILE")
    _note([each for each in findings.absent if each.on_hub], "has", "have", "not been fetched", findings, remedies)
    _note([each for each in findings.absent if not each.on_hub], "is", "are", "not here to be read", findings, ())


def _note(
    absent: Sequence[Absent], one: str, several: str, what: str, findings: Findings, remedies: tuple[str, ...]
) -> None:
    if not absent:
        return
    by_name = {each.name: each for each in sorted(absent, key=lambda each: each.span.root.start, reverse=True)}
    first, *others = sorted(by_name.values(), key=lambda each: each.span.root.start)
    shown = [at(each.span, f'"{each.name}"') for each in others[: MOST_PLACES - 1]]
    if not others:
        label = f"what {'uses its columns' if first.unknown == 'columns' else 'depends on them'} is not checked"
        title = f'"{first.name}" {one} {what}: its {first.unknown} are unknown'
        folder = first.unknown != "columns" and (first.name[:1] in "./~" or "/" not in first.name)
        here = (f'local.model("{first.name}")',) if remedies and folder else ()
        findings.add("D402", title, [at(first.span, label)], helps=(*remedies, *here))
        return
    names = [f'"{each.name}"' for each in (first, *others)]
    subject = _and(names) if len(names) <= 3 else f"{len(names)} things"
    notes = [f"they are {', '.join(names)}"] if len(names) > 3 else []
    labels = [at(first.span, "what depends on it is not checked"), *shown]
    findings.add("D402", f"{subject} {several} {what}: what they hold is unknown", labels, notes, remedies)


def _and(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"
