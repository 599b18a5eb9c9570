"""Figures: the same bytes for the same data, text as text, colours that follow the page's theme."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from reports import handmade

from ptc.report.drawings import drawings, save
from ptc.report.figures.claims import strip
from ptc.report.figures.layout import layout
from ptc.report.section import Estimate


def test_figures_are_the_same_bytes_and_have_no_date(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        drawn = drawings(handmade())
        (tmp_path / folder).mkdir()
        assert drawn.dag is not None
        for drawing in (drawn.dag, drawn.curves[0], drawn.metrics[0][0]):
            drawing.save(tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 6 and {path.suffix for path in (tmp_path / "one").iterdir()} == {".svg", ".png"}
    for name in names:
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two"))
        assert first == second and b"<dc:date>" not in first


def test_figures_of_the_page_have_no_colour_of_their_own_and_text_as_text() -> None:
    for drawing in drawings(handmade()):
        text = drawing.inline()
        root = ElementTree.fromstring(text)
        assert root.get("role") == "img" and root.get("aria-label")
        colours = set(re.findall(r"#[0-9a-f]{6}", " ".join(each.get("style", "") for each in root.iter())))
        assert not colours and "var(--" in text and "<text" in text and "font-family" not in text
        ids = [each.get("id") for each in root.iter() if each.get("id")]
        assert all(one.startswith(f"{drawing.name}-") for one in ids)


def test_equal_data_are_equal_drawings() -> None:
    assert list(drawings(handmade())) == list(drawings(handmade())) != list(drawings(handmade("other")))


def test_every_figure_is_saved(tmp_path: Path) -> None:
    report = handmade("a/b $x$ ../c")
    small = report.model_copy(update={"training": report.training.model_copy(update={"stages": ()})})
    written = save(small, tmp_path / "figures")
    assert len(written) == 2 * len(list(drawings(small))) and all(
        path.parent == tmp_path / "figures" for path in written
    )


@pytest.mark.parametrize("ends", [(), ("eval",)])
def test_layout_puts_boxes_before_what_needs_them(ends: tuple[str, ...]) -> None:
    edges = [("data", "sft"), ("base", "sft"), ("sft", "rl"), ("data", "rl"), ("data", "held"), ("held", "eval")]
    edges.append(("rl", "export"))
    boxes = sorted({end for edge in edges for end in edge})
    placed = layout(boxes, edges, ends)
    assert all(placed.places[source][0] < placed.places[target][0] for source, target in edges)
    assert len(set(placed.places.values())) == len(boxes)
    assert len(placed.routes["data", "rl"]) == 3  # past the boxes of the layer between
    assert (placed.places["held"][0] == 1) == bool(ends)


def test_intervals_without_bounds_and_numbers_that_say_nothing_are_drawn_or_left_out() -> None:
    found = Estimate.of({"value": 2.0, "low": -math.inf, "high": math.inf})
    assert (found.value, found.low, found.high) == (2.0, None, None)
    assert Estimate.of({"value": math.nan, "low": math.nan, "high": math.nan}).value is None
    (claim, _) = handmade().claims.claims
    unbounded = claim.model_copy(update={"intervals": {"Δpass@1": found}})
    drawn = strip("x", unbounded)
    assert drawn is not None and "from without bound to without bound" in drawn.caption and "<svg" in drawn.inline()
    nothing = claim.model_copy(update={"intervals": {"Δpass@1": Estimate(value=None, low=None, high=None)}})
    assert strip("x", nothing) is None


def test_layout_of_nothing_and_of_one() -> None:
    assert layout(["a"], []).places == {"a": (0.0, 0.0)}
