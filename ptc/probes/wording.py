"""How findings about rows are worded: which rows, where they stand, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence

from ptc.compiler import core
from ptc.probes.drawing import Drawer, Drawn
from ptc.runtime.rendering.template import excerpt as quoted
from ptc.runtime.rendering.turns import Rendered

EXAMPLES = 3
"""Rows that a finding names."""


def share(count: int, total: int, what: str = "rows") -> str:
    """``3 of 200 rows``."""
    return f"{count:,} of {total:,} {what}"


def named(source: core.Source) -> str:
    """What a reader calls a source: its name, or that of the nearest source that it is made of."""
    name = next((step.name for step in source.upstream() if step.name), "")
    return f"`{name}`" if name else "these rows"


def examples(drawer: Drawer, drawn: Drawn, found: Sequence[tuple[int, str]]) -> list[str]:
    """One note for each of the first rows, with its place, and one for how many there are besides."""
    notes = [f"{drawer.place(drawn.places[row])}: {said}" for row, said in found[:EXAMPLES]]
    more = len(found) - EXAMPLES
    return [*notes, f"and {more:,} more"] if more > 0 else notes


def excerpt(text: str) -> str:
    """A text as it fits into a note."""
    return quoted(" ".join(text.split()), 72)


def marked(decode: Sequence[str], rendered: Rendered, longest: int = 160) -> str:
    """A rendered row with what bears loss in ⟦brackets⟧; a long context is cut at its beginning."""
    pieces: list[str] = []
    for text, bears, before in zip(decode, rendered.loss_mask, (False, *rendered.loss_mask), strict=False):
        pieces += ["⟧"] if before and not bears else ["⟦"] if bears and not before else []
        pieces.append(text)
    whole = "".join([*pieces, "⟧"] if rendered.loss_mask and rendered.loss_mask[-1] else pieces)
    shown = whole if len(whole) <= longest else "…" + whole[-longest:]
    return shown.replace("\n", "\\n")
