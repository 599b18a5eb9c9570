"""An eval over all models of a run."""

from __future__ import annotations

from matplotlib.figure import Figure

from ptc.report.figures.canvas import Drawing, Palette, shown
from ptc.report.sections.ledger import EvalLine


def line(name: str, eval: EvalLine) -> Drawing:
    """One point for each model in the order of the run, with its interval."""
    rate = eval.metric in ("pass@1", "win_rate")
    scale = 100.0 if rate else 1.0

    def draw(palette: Palette) -> Figure:
        figure = Figure(figsize=(max(3.3, 1.15 * len(eval.points) + 1.0), 2.1))
        width = figure.get_figwidth()
        axes = figure.add_axes((0.5 / width, 0.2, 1 - 0.7 / width, 0.7))
        xs = range(len(eval.points))
        values = [scale * point.value for point in eval.points]
        axes.plot(xs, values, color=palette.rule, linewidth=1.2, zorder=1)
        for x, point, value in zip(xs, eval.points, values, strict=True):
            if point.low is not None and point.high is not None:
                ends = [scale * point.low, scale * point.high]
                axes.plot([x, x], ends, color=palette.blue, linewidth=1.8, solid_capstyle="round", zorder=2)
            axes.plot([x], [value], "o", color=palette.blue, markersize=5, zorder=3)
            axes.annotate(
                f"{value:.1f}" if rate else f"{value:.3f}",
                (x, value),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        axes.set_xticks(list(xs), [shown(point.model) for point in eval.points])
        axes.set_xlim(-0.5, len(eval.points) - 0.5)
        if rate:
            axes.set_ylim(-3, 114)
            axes.set_yticks([0, 25, 50, 75, 100])
        axes.margins(y=0.2)
        axes.set_ylabel(f"{eval.metric}, %" if rate else eval.metric.replace("_", " "))
        axes.yaxis.grid(True)
        return figure

    said = ", ".join(f"{point.model} {scale * point.value:.4g}" for point in eval.points)
    return Drawing(name, f"{eval.eval}, {eval.metric}: {said}", eval.model_dump_json(), draw)
