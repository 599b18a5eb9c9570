"""Writes the pages that are made from the source: `python docs/generate.py`. A test fails when one is out of date."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ptc.compiler import names

PLACES: dict[names.Place, str] = {
    "stage": "Settings of a stage",
    "adamw": "The optimizer, `adamw(…)`",
    "sample": "Sampling, `sample(model, …)`",
    "grpo": "`grpo(rollouts, policy, …)`",
    "dpo": "`dpo(pairs, policy, reference, …)`",
    "reverse_kl": "`reverse_kl(attempts, student, teacher)`",
    "model": "Models of a stage",
    "watch": "Measuring",
    "column": "Columns of rows",
    "profile": "Placement: in the profile, not in the program",
}

HEAD = """\
# From TRL

What a TRL user calls a thing, and what it is called in a program. This page is generated from
`compiler/names.py`, which the checker reads too: a program that says `epsilon_high` is told that
it is `clip_high` here. Defaults are those of TRL 1.16 unless the origin says otherwise; a test compares each row
with the installed TRL. `ptc plan` shows the value and the origin of every setting of a run.
"""

METRICS_HEAD = """\
## Metrics

`metrics.jsonl` uses TRL's names.
"""


def from_trl() -> str:
    parts = [HEAD]
    for place, title in PLACES.items():
        parts.append(f"## {title}\n\n" + table(place))
    meanings = [(f"`{m.name}`", m.meaning, "" if m.trl else "ptc's own") for m in names.METRICS]
    parts.append(METRICS_HEAD + "\n" + grid(("name", "meaning", ""), meanings))
    return "\n".join(parts)


def table(place: names.Place) -> str:
    rows = names.rows(place)
    theirs = [", ".join(f"`{spelling}`" for spelling in row.trl) or "–" for row in rows]
    notes = [row.note.replace("|", "\\|") for row in rows]
    ours = [f"`{row.ours}`" for row in rows]
    if place in ("column", "model"):
        return grid(("here", "TRL", ""), zip(ours, theirs, notes, strict=True))
    values = ["" if row.required or row.default is None else f"`{names.spelled(row.default)}`" for row in rows]
    origins = [row.origin for row in rows]
    return grid(("here", "TRL", "default", "origin", ""), zip(ours, theirs, values, origins, notes, strict=True))


def grid(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


PAGES = {"docs/from-trl.md": from_trl}

if __name__ == "__main__":
    for path, page in PAGES.items():
        (Path(__file__).parent.parent / path).write_text(page(), encoding="utf-8")
