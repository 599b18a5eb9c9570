"""Claims with their intervals: each against its limit, and all changes of rates on one axis."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptc.report.figures.canvas import Drawing, Palette, shown
from ptc.report.section import Estimate
from ptc.report.sections.claims import Claim, Claims

MARKERS = {"supported": "o", "refuted": "X", "undecided": "D"}
"""A verdict is told by the form of its mark, and by its colour besides."""


def verdict_colour(palette: Palette, verdict: str) -> str:
    return {"supported": palette.green, "refuted": palette.red}.get(verdict, palette.orange)


def strip(name: str, claim: Claim) -> Drawing | None:
    """The interval that a verdict rests on, against its limit: for a cell of a table."""
    if claim.statistic is None or claim.limit is None:
        return None
    interval, limit = claim.intervals[claim.statistic], claim.limit

    def draw(palette: Palette) -> Figure:
        figure = Figure(figsize=(1.9, 0.3))
        axes = figure.add_axes((0.02, 0.05, 0.96, 0.9))
        axes.axis("off")
        _whisker(axes, interval, 0.0, claim.verdict, palette, size=5.5)
        axes.axvline(limit, color=palette.muted, linewidth=0.9, linestyle=(0, (2, 2)))
        ends = (interval.low, interval.high, limit)
        room = 0.12 * (max(ends) - min(ends) or 1.0)
        axes.set_xlim(min(ends) - room, max(ends) + room)
        axes.set_ylim(-1, 1)
        return figure

    caption = (
        f"{claim.statistic} {interval.value:.3f}, 95% from {interval.low:.3f} to {interval.high:.3f}, against {limit:g}"
    )
    return Drawing(name, caption, claim.model_dump_json(), draw)


def forest(claims: Claims) -> Drawing | None:
    """Δpass@1 and Δpass@k of every claim on one axis, in points; None where no claim is about a pass rate."""
    rows = [
        (claim, name)
        for claim in claims.claims
        for name in dict.fromkeys(("Δpass@1", f"Δpass@{claim.k}"))
        if name in claim.intervals
    ]
    if not rows:
        return None

    def draw(palette: Palette) -> Figure:
        figure = Figure(figsize=(7.4, 0.55 + 0.27 * len(rows)))
        axes = figure.add_axes((0.3, 0.36 / figure.get_figheight(), 0.46, 1 - 0.42 / figure.get_figheight()))
        for place, (claim, name) in enumerate(rows):
            _row(axes, claim, name, -place, palette)
        axes.axvline(0, color=palette.muted, linewidth=0.8)
        axes.set_ylim(-len(rows) + 0.4, 0.6)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("change, points (95 % over prompts)")
        axes.xaxis.grid(True)
        return figure

    said = "; ".join(f"{claim.stage} {name} {_points(claim.intervals[name])}" for claim, name in rows)
    return Drawing("claims", f"Changes that were claimed about, in points: {said}", claims.model_dump_json(), draw)


def _row(axes: Axes, claim: Claim, name: str, y: float, palette: Palette) -> None:
    interval = claim.intervals[name]
    scaled = Estimate(value=100 * interval.value, low=100 * interval.low, high=100 * interval.high)
    _whisker(axes, scaled, y, _direction(scaled), palette)
    if name == "Δpass@1":
        label = shown(f"{claim.stage} {claim.role} {claim.eval}")
        axes.text(-0.62, y, label, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    axes.text(-0.03, y, name, transform=axes.get_yaxis_transform(), va="center", ha="right", color=palette.muted)
    axes.text(1.03, y, _points(interval), transform=axes.get_yaxis_transform(), va="center")


def _direction(interval: Estimate) -> str:
    """How a change of a rate is drawn: whether it is one for sure, and which."""
    return "supported" if interval.low > 0 else "refuted" if interval.high < 0 else "undecided"


def _whisker(axes: Axes, at: Estimate, y: float, verdict: str, palette: Palette, size: float = 5.0) -> None:
    colour = verdict_colour(palette, verdict)
    axes.plot([at.low, at.high], [y, y], color=colour, linewidth=1.8, solid_capstyle="round")
    axes.plot([at.value], [y], MARKERS.get(verdict, "o"), color=colour, markersize=size, markeredgewidth=0)


def _points(interval: Estimate) -> str:
    value, low, high = (_signed(100 * each) for each in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def _signed(value: float) -> str:
    """With a true minus, and no sign of minus before nothing."""
    return f"{round(value, 1) + 0.0:+.1f}".replace("-", "−")
