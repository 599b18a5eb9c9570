"""Every code of the front end has a page, and the programs on it do what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import fences

from ptc.lang import mistakes, not_programs
from ptc.lang.parse import parse
from ptc.lang.source import Source

PAGES = Path(__file__).parent.parent / "docs" / "errors"
OF_THE_TEXT = sorted(path for path in PAGES.glob("[SU]1*.md") if fences(path.read_text()))


def _codes(module: object) -> set[str]:
    text = Path(str(module.__file__)).read_text()  # type: ignore[attr-defined]
    return set(re.findall(r'"([A-Z]\d{3})"', text))


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    of_the_files = {path.stem for path in PAGES.glob("S15*.md")} | {path.stem for path in PAGES.glob("S16*.md")}
    assert _codes(not_programs) == of_the_files
    assert _codes(mistakes) == {path.stem for path in OF_THE_TEXT}


@pytest.mark.parametrize("path", sorted(PAGES.glob("[SU]1*.md")), ids=lambda path: path.stem)
def test_pages_begin_with_code_and_name(path: Path) -> None:
    assert re.match(rf"# {path.stem}: [a-z0-9-]+\n\n\S", path.read_text())


@pytest.mark.parametrize("path", OF_THE_TEXT, ids=lambda path: path.stem)
def test_the_first_program_has_the_mistake_and_the_second_has_none(path: Path) -> None:
    bad, good = fences(path.read_text())
    _, found = parse(Source("bad.pt", bad.text))
    assert [diagnostic.code for diagnostic in found] == [path.stem]
    _, found = parse(Source("good.pt", good.text))
    assert found == ()
