"""Monitors: a small figure for each guard, with its limit and where it was not kept."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ptc.report.figures.canvas import Drawing, Palette, shown
from ptc.report.sections.monitors import Guarded


def guarded(name: str, stage: str, guard: Guarded) -> Drawing:
    """What was compared over steps, the limit dashed, a triangle where it was not kept: full where that stopped."""
    colour = "red" if guard.stops else "orange"

    def draw(palette: Palette) -> Figure:
        figure = Figure(figsize=(2.35, 1.25))
        axes = figure.add_axes((0.2, 0.2, 0.75, 0.58))
        paint = getattr(palette, colour)
        axes.plot(guard.steps, guard.values, color=palette.blue, linewidth=1.1)
        axes.axhline(guard.limit, color=paint, linewidth=0.9, linestyle="--")
        known = dict(zip(guard.steps, guard.values, strict=True))
        marked = [step for step in guard.fired if step in known]
        fill = paint if guard.stops else "none"
        axes.plot(marked, [known[step] for step in marked], "^", markersize=5, color=paint, markerfacecolor=fill)
        figure.text(0.01, 0.985, shown(guard.name), fontsize=8, color=palette.ink, va="top")
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.grid(True)
        return figure

    fired = "; not kept from step " + ", ".join(map(str, guard.fired)) if guard.fired else "; always kept"
    said = f"{stage}, {guard.name} against its limit {guard.limit:g}{fired}"
    return Drawing(name, said, guard.model_dump_json(), draw)
