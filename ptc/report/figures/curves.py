"""pass@k before and after a stage."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ptc.report.figures.canvas import Drawing, Palette, shown
from ptc.report.sections.curves import CurvePair


def curve(name: str, pair: CurvePair) -> Drawing:
    """Before: dashed, hollow marks. After: solid, full marks."""

    def draw(palette: Palette) -> Figure:
        figure = Figure(figsize=(3.3, 2.1))
        axes = figure.add_axes((0.15, 0.2, 0.61, 0.74))
        ks = sorted(pair.before.points.keys() | pair.after.points.keys())
        for each, colour, line, face in (
            (pair.before, palette.muted, (0, (3, 2)), palette.surface),
            (pair.after, palette.blue, "solid", palette.blue),
        ):
            xs, ys = list(each.points), [100 * value for value in each.points.values()]
            axes.plot(xs, ys, color=colour, linestyle=line, marker="o", markersize=3.6, markerfacecolor=face)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(ks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([str(k) for k in ks])
        axes.set_ylim(-3, 103)
        axes.set_xlabel("k attempts")
        axes.set_ylabel("pass@k, %")
        axes.yaxis.grid(True)
        for y, text, colour in _labels(pair, palette):
            axes.text(1.04, y, text, transform=axes.get_yaxis_transform(), color=colour, va="center", fontsize=8)
        return figure

    ends = [(each.model, max(each.points)) for each in (pair.before, pair.after)]
    said = " and ".join(
        f"{model}: pass@1 {each.points[1]:.1%}, pass@{k} {each.points[k]:.1%}"
        for (model, k), each in zip(ends, (pair.before, pair.after), strict=True)
    )
    return Drawing(name, f"{pair.eval} before and after {pair.stage}: {said}", pair.model_dump_json(), draw)


def _labels(pair: CurvePair, palette: Palette) -> list[tuple[float, str, str]]:
    """At the ends of the lines, apart enough to be read."""
    ends = [(100 * list(each.points.values())[-1], each) for each in (pair.before, pair.after)]
    (low, _), (high, _) = ends
    middle, apart = (low + high) / 2, 12.0
    if abs(high - low) < apart:
        sign = 1 if high >= low else -1
        low, high = middle - sign * apart / 2, middle + sign * apart / 2
    most = max(low, high)
    down = max(0.0, most - 100)
    colours = (palette.muted, palette.blue)
    return [
        (y - down, shown(each.model), colour) for y, (_, each), colour in zip((low, high), ends, colours, strict=True)
    ]
