"""The program as a drawn graph: sources, models, stages with their roles and verdicts, evals and exports."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from ptc.report.figures.canvas import Drawing, Palette, shown
from ptc.report.figures.layout import layout
from ptc.report.sections.dag import Box, Dag, Edge

WIDTH, STEP, ROW = 1.12, 1.5, 0.62
"""Inches: of a box, from layer to layer, from row to row."""
MARKS = {"supported": "✓", "refuted": "✗", "undecided": "?", "pending": "…"}
LINES = {
    "weights": "solid",
    "rows": "solid",
    "sampled from": (0, (4, 2)),
    "teacher": (0, (1, 1.6)),
    "measured": (0, (1, 1.6)),
}


def dag(found: Dag) -> Drawing:
    """Boxes from left to right. Weights are thick lines; what a model wrote is dashed, what it taught is dotted."""
    evals = [box.id for box in found.boxes if box.form == "eval"]
    placed = layout([box.id for box in found.boxes], [(edge.source, edge.target) for edge in found.edges], evals)

    def draw(palette: Palette) -> Figure:
        width, height = STEP * (placed.layers - 1) + WIDTH + 0.16, ROW * placed.height + 0.1
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(-WIDTH / 2 - 0.08, width - WIDTH / 2 - 0.08)
        axes.set_ylim(-height + ROW / 2 + 0.05, ROW / 2 + 0.05)
        axes.axis("off")
        for edge in found.edges:
            _edge(axes, edge, placed.routes[edge.source, edge.target], palette)
        for box in found.boxes:
            layer, row = placed.places[box.id]
            _box(axes, box, layer * STEP, -row * ROW, palette)
        return figure

    return Drawing("dag", _words(found), found.model_dump_json(), draw)


def _box(axes: Axes, box: Box, x: float, y: float, palette: Palette) -> None:
    stage = box.form == "stage"
    colour = _colour(box, palette)
    tall = 0.46
    rounding = {"source": 0.02, "export": 0.02}.get(box.form, 0.12)
    waiting = box.state == "waiting"
    axes.add_patch(
        FancyBboxPatch(
            (x - WIDTH / 2, y - tall / 2),
            WIDTH,
            tall,
            boxstyle=f"round,pad=0,rounding_size={rounding}",
            facecolor=palette.raised if stage else palette.surface,
            edgecolor=colour,
            linewidth=1.6 if stage else 0.8,
            linestyle=(0, (3, 2)) if waiting else "solid",
            zorder=3,
        )
    )
    lines = [_claimed(box)] if box.roles else list(box.lines)[:1]
    if box.state in ("running", "failed"):
        lines = [box.state]
    lines = [line for line in lines if line]
    axes.text(
        x,
        y + (0.085 if lines else 0),
        _short(box.title, 17),
        ha="center",
        va="center",
        fontsize=8.5,
        fontweight="bold" if stage else "normal",
        color=palette.muted if waiting else palette.ink,
        zorder=4,
    )
    for line in lines:
        axes.text(x, y - 0.105, _short(line, 21), ha="center", va="center", fontsize=7, color=colour, zorder=4)


def _claimed(box: Box) -> str:
    return ", ".join(f"{role} {MARKS[verdict]}" for role, verdict in zip(box.roles, box.verdicts, strict=True))


def _colour(box: Box, palette: Palette) -> str:
    if box.state == "failed":
        return palette.red
    if box.state == "running":
        return palette.orange
    if box.form != "stage":
        return palette.muted
    roles = {"expands": palette.green, "reshapes": palette.blue, "consolidates": palette.purple}
    return roles.get(box.roles[0], palette.ink) if box.roles else palette.ink


def _edge(axes: Axes, edge: Edge, route: Sequence[tuple[float, float]], palette: Palette) -> None:
    weights = edge.relation == "weights"
    colour = palette.ink if weights else palette.muted
    axes.add_patch(
        FancyArrowPatch(
            path=_curve(route),
            arrowstyle="-|>,head_length=3.4,head_width=1.7",
            color=colour,
            linewidth=1.5 if weights else 0.8,
            linestyle=LINES[edge.relation],
            zorder=2,
            shrinkA=0,
            shrinkB=0,
        )
    )


def _curve(route: Sequence[tuple[float, float]]) -> Path:
    """Leaves a box at its right edge and reaches the next at its left one, level in every layer that it passes."""
    points = [(layer * STEP, -row * ROW) for layer, row in route]
    (x0, y0), (x1, y1) = points[0], points[-1]
    points = [(x0 + WIDTH / 2, y0), *points[1:-1], (x1 - WIDTH / 2 - 0.02, y1)]
    vertices, codes = [points[0]], [Path.MOVETO]
    for (xa, ya), (xb, yb) in pairwise(points):
        middle = (xa + xb) / 2
        vertices += [(middle, ya), (middle, yb), (xb, yb)]
        codes += [Path.CURVE4] * 3
    return Path(vertices, codes)


def _short(text: str, length: int) -> str:
    text = shown(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _words(found: Dag) -> str:
    stages = [
        f"{box.title} ({_claimed(box)})" if box.roles else box.title for box in found.boxes if box.form == "stage"
    ]
    return f"The program: stages {', '.join(stages)}; {len(found.boxes)} boxes, {len(found.edges)} edges"
