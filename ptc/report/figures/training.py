"""Training curves: a small figure for each metric, marked where monitors fired."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ptc.report.figures.canvas import Drawing, Palette, shown
from ptc.report.sections.training import Firing, Series


def metric(name: str, stage: str, series: Series, firings: Sequence[Firing]) -> Drawing:
    """The metric over steps; a triangle on the axis where a monitor fired, full where it stopped the stage."""

    def draw(palette: Palette) -> Figure:
        figure = Figure(figsize=(2.35, 1.25))
        axes = figure.add_axes((0.2, 0.2, 0.75, 0.58))
        values = [float("nan") if value is None else value for value in series.values]
        axes.plot(series.steps, values, color=palette.blue, linewidth=1.1)
        figure.text(0.01, 0.985, shown(series.name), fontsize=8, color=palette.ink, va="top")
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.ticklabel_format(axis="y", useOffset=False, scilimits=(-3, 4))
        offset = axes.yaxis.get_offset_text()
        offset.set_fontsize(6.5)
        offset.set_x(-0.02)
        offset.set_horizontalalignment("right")
        axes.yaxis.grid(True)
        for firing in firings:
            stops = firing.level == "stop"
            colour = palette.red if stops else palette.orange
            axes.plot(
                [firing.step],
                [0.04],
                "^",
                transform=axes.get_xaxis_transform(),
                markersize=5,
                color=colour,
                markerfacecolor=colour if stops else "none",
                clip_on=False,
            )
        return figure

    data = series.model_dump_json() + "".join(each.model_dump_json() for each in firings)
    known = [value for value in series.values if value is not None]
    said = f"from {known[0]:.4g} to {known[-1]:.4g}, between {min(known):.4g} and {max(known):.4g}" if known else "NaN"
    fired = "".join(f"; {each.monitor} at step {each.step}" for each in firings)
    return Drawing(name, f"{stage}, {series.name} over {series.steps[-1]} steps: {said}{fired}", data, draw)
