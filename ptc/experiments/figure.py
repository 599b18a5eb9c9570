"""The changes of an eval against the first row, drawn by matplotlib where it is installed."""

from __future__ import annotations

import io
from importlib.util import find_spec

from ptc.experiments.comparison import Comparison
from ptc.experiments.showing import SHARES


def changes(comparison: Comparison, name: str) -> str | None:
    """An SVG; None where nothing can be compared, or nothing can draw."""
    found = [
        (row.name, result)
        for row in comparison.rows
        for result in row.results
        if result.eval == name and result.simultaneous is not None
    ]
    if not found or find_spec("matplotlib") is None:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.8 + 0.35 * len(found)), layout="constrained")
    axes = figure.subplots()
    colour = "#808085"  # to be read on light and on dark
    share = found[0][1].metric in SHARES
    for place, (_, result) in enumerate(found):
        assert result.simultaneous is not None
        scale = 100 if share else 1
        low, value, high = (
            scale * each for each in (result.simultaneous.low, result.simultaneous.value, result.simultaneous.high)
        )
        axes.plot([low, high], [place, place], color="#4c78a8", linewidth=2, solid_capstyle="butt")
        axes.plot([value], [place], "o", color="#4c78a8", markersize=6)
    axes.axvline(0, color=colour, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(found)), [label for label, _ in found])
    axes.invert_yaxis()
    unit = "points" if share else found[0][1].metric
    axes.set_xlabel(f"change of {found[0][1].metric} against {comparison.rows[0].name} ({unit})")
    for spine in axes.spines.values():
        spine.set_color(colour)
    axes.tick_params(colors=colour)
    axes.xaxis.label.set_color(colour)
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
