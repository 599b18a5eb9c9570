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
    if interval.value is None:
        return None
    value = interval.value
    known = [each for each in (value, interval.low, interval.high, limit) if each is not None]
    room = 0.12 * (max(known) - min(known) or 1.0)
    ends = min(known) - room, max(known) + room

    def draw(palette: Palette) -> Figure:
        figure = Figure(figsize=(1.9, 0.3))
        axes = figure.add_axes((0.02, 0.05, 0.96, 0.9))
        axes.axis("off")
        _whisker(axes, (value, *_drawn(interval, *ends)), 0.0, claim.verdict, palette, size=5.5)
        axes.axvline(limit, color=palette.muted, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.set_xlim(*ends)
        axes.set_ylim(-1, 1)
        return figure

    low, high = ("without bound" if each is None else f"{each:.3f}" for each in (interval.low, interval.high))
    caption = f"{claim.statistic} {value:.3f}, 95% from {low} to {high}, against {limit:g}"
    return Drawing(name, caption, claim.model_dump_json(), draw)


def _drawn(interval: Estimate, least: float, most: float) -> tuple[float, float]:
    """The ends of an interval; where it has none, those of the figure."""
    low, high = interval.low, interval.high
    return (least if low is None else low, most if high is None else high)


def forest(claims: Claims) -> Drawing | None:
    """Δpass@1 and Δpass@k of every claim on one axis, in points; None where no claim is about a pass rate."""
    rows = [
        (claim, name)
        for claim in claims.claims
        for name in dict.fromkeys(("Δpass@1", f"Δpass@{claim.k}"))
        if name in claim.intervals and claim.intervals[name].value is not None
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
    change = _change(claim.intervals[name])
    _whisker(axes, change, y, _direction(change), palette)
    if name == "Δpass@1":
        label = shown(f"{claim.stage} {claim.role} {claim.eval}")
        axes.text(-0.62, y, label, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    axes.text(-0.03, y, name, transform=axes.get_yaxis_transform(), va="center", ha="right", color=palette.muted)
    axes.text(1.03, y, _points(claim.intervals[name]), transform=axes.get_yaxis_transform(), va="center")


def _change(interval: Estimate) -> tuple[float, float, float]:
    """A change of a rate in points, and its ends: a rate cannot change by more than all."""
    assert interval.value is not None
    low, high = _drawn(interval, -1.0, 1.0)
    return 100 * interval.value, 100 * low, 100 * high


def _direction(change: tuple[float, float, float]) -> str:
    """How a change of a rate is drawn: whether it is one for sure, and which."""
    _, low, high = change
    return "supported" if low > 0 else "refuted" if high < 0 else "undecided"


def _whisker(
    axes: Axes, at: tuple[float, float, float], y: float, verdict: str, palette: Palette, size: float = 5.0
) -> None:
    """`at`: value, low, high."""
    value, low, high = at
    colour = verdict_colour(palette, verdict)
    axes.plot([low, high], [y, y], color=colour, linewidth=1.8, solid_capstyle="round")
    axes.plot([value], [y], MARKERS.get(verdict, "o"), color=colour, markersize=size, markeredgewidth=0)


def _points(interval: Estimate) -> str:
    value, low, high = (_signed(each) for each in _change(interval))
    return f"{value} [{low}, {high}]"


def _signed(value: float) -> str:
    """With a true minus, and no sign of minus before nothing."""
    return f"{round(value, 1) + 0.0:+.1f}".replace("-", "−")
