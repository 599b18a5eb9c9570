"""The ten errors of `docs/tour.md`: each program prints what stands below it. `pytest --update-spec` writes it anew."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from data_pages import looked_at
from pages import Fence, fences

from ptc.api import CheckResult, check_source
from ptc.lang.format import format as lay_out
from ptc.lang.parse import parse
from ptc.lang.render import render_all
from ptc.lang.source import Source
from ptc.stand_ins import StandIns

ROOT = Path(__file__).resolve().parents[1]
TOUR = ROOT / "docs" / "tour.md"
STAND_INS = StandIns(ROOT / "examples" / "recipes" / "stand_ins")


def _stops() -> list[tuple[Fence, Fence]]:
    """The programs, each with what is printed about it."""
    blocks = fences(TOUR.read_text(encoding="utf-8"))
    return [(block, after) for block, after in pairwise(blocks) if block.tag == "pt"]


def _checked(program: Fence) -> CheckResult:
    if program.files:
        return looked_at(program)
    return check_source(Source("program.pt", program.text), stand_ins=STAND_INS)


def test_there_are_ten() -> None:
    assert len(_stops()) == 10


@pytest.mark.parametrize("number", range(10))
def test_stop(number: int, request: pytest.FixtureRequest) -> None:
    program, printed = _stops()[number]
    checked = _checked(program)
    text = render_all(checked.diagnostics, checked.source) + "\n"
    if request.config.getoption("--update-spec"):
        page = TOUR.read_text(encoding="utf-8")
        TOUR.write_text(page[: printed.start] + text + page[printed.end :], encoding="utf-8")
    else:
        assert printed.text == text
    assert [each.severity for each in checked.diagnostics if each.severity != "note"] != []
    assert len(checked.diagnostics) == 1
    tree, _ = parse(Source("program.pt", program.text))
    assert lay_out(tree) == program.text


def test_no_code_is_met_twice() -> None:
    codes = [each.code for program, _ in _stops() for each in _checked(program).diagnostics]
    assert len(set(codes)) == len(codes)


def test_the_readme_shows_the_first() -> None:
    _, printed = _stops()[0]
    assert printed.text.removesuffix("\n\n1 error\n") in (ROOT / "README.md").read_text(encoding="utf-8")
