"""How figures are drawn and written: one style, two palettes, and the same bytes for the same data."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"


@dataclass(frozen=True)
class Palette:
    """What things are drawn in. Colours are after Okabe and Ito's, which all kinds of colour vision tell apart."""

    ink: str
    muted: str
    rule: str
    surface: str
    raised: str
    blue: str
    orange: str
    green: str
    red: str
    purple: str

    @property
    def series(self) -> tuple[str, ...]:
        return (self.blue, self.orange, self.green, self.purple, self.red)


PAPER = Palette(
    ink="#1b1f24",
    muted="#667079",
    rule="#d9dee3",
    surface="#ffffff",
    raised="#f4f6f8",
    blue="#0072b2",
    orange="#b35c00",
    green="#007a5a",
    red="#c23b00",
    purple="#9a4f86",
)
_VARIABLES = {f"#0101{place:02x}": one.name for place, one in enumerate(fields(Palette))}
THEMED = Palette(**{name: colour for colour, name in _VARIABLES.items()})
"""Colours that stand for variables of the page's style sheet: `var(--ink)`, …"""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.visible": False,
    "axes.axisbelow": True,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "path.simplify": True,
    "text.parse_math": False,
}


def word(*parts: str) -> str:
    """A name for a figure, its file and its element, whatever the parts are called."""
    return "".join(letter if letter.isalnum() or letter in "-_@" else "-" for letter in "-".join(parts)[:120])


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn in any palette. Two of one name and the same data are equal."""

    name: str
    caption: str
    """What it shows in words: it is read aloud."""
    data: str
    """What it is drawn from, as JSON."""
    draw: Callable[[Palette], Figure] = field(compare=False)

    def inline(self) -> str:
        """An SVG element for the page, whose colours are the page's variables and whose text is text."""
        return _themed(_svg(self, THEMED), self.name, self.caption)

    def save(self, folder: Path) -> list[Path]:
        """PNG (300 dpi) and SVG, in fixed colours on white."""
        svg, png = folder / f"{self.name}.svg", folder / f"{self.name}.png"
        svg.write_bytes(_svg(self, PAPER))
        with matplotlib.rc_context(_style(self.name, PAPER)):
            self.draw(PAPER).savefig(png, dpi=300, facecolor=PAPER.surface, metadata={"Software": None})
        return [svg, png]


def shown(text: str) -> str:
    """A text as a label: without characters that XML cannot hold."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _style(name: str, palette: Palette) -> dict[Any, Any]:
    return {
        **STYLE,
        "svg.hashsalt": name,
        "text.color": palette.ink,
        "axes.labelcolor": palette.muted,
        "axes.edgecolor": palette.muted,
        "xtick.color": palette.muted,
        "ytick.color": palette.muted,
        "grid.color": palette.rule,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
    }


def _svg(drawing: Drawing, palette: Palette) -> bytes:
    written = io.BytesIO()
    with matplotlib.rc_context(_style(drawing.name, palette)):
        face = "none" if palette is THEMED else palette.surface
        drawing.draw(palette).savefig(written, format="svg", facecolor=face, metadata={"Date": None, "Creator": None})
    return written.getvalue()


def _themed(content: bytes, name: str, caption: str) -> str:
    """The SVG element alone: ids of its own, variables for colours, two decimals, no font but the page's."""
    ElementTree.register_namespace("", SVG[1:-1])
    ElementTree.register_namespace("xlink", XLINK[1:-1])
    root = ElementTree.fromstring(content)
    for own in (*root.findall(f"{SVG}metadata"), *root.findall(f"{SVG}defs")[:1]):  # its style sheet is the page's
        root.remove(own)
    for element in root.iter():
        for attribute, value in list(element.attrib.items()):
            element.set(attribute, _attribute(attribute, value, name))
        if element.tag == f"{SVG}g" and element.get("id"):
            del element.attrib["id"]  # groups are named, and nobody refers to them
    width = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height")
    root.set("role", "img")
    root.set("aria-label", shown(caption))
    root.set("style", f"width:{width * 4 / 3:.0f}px")
    return ElementTree.tostring(root, encoding="unicode")


def _attribute(attribute: str, value: str, name: str) -> str:
    if attribute == "id":
        return f"{name}-{value}"
    if attribute == f"{XLINK}href":
        return value.replace("#", f"#{name}-")
    if attribute in ("d", "transform", "points", "x", "y", "width", "height"):
        return re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)
    value = value.replace("url(#", f"url(#{name}-")
    if attribute == "style":
        value = re.sub(r"font-family: [^;]*;? ?", "", value)
        for colour, variable in _VARIABLES.items():
            value = value.replace(colour, f"var(--{variable})")
    return value
