"""Every program in the documents checks, and is laid out as `ptc fmt` lays it out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ptc import api
from ptc.lang.format import format as lay_out
from ptc.lang.parse import parse
from ptc.lang.source import Source

ROOT = Path(__file__).resolve().parents[1]
WRONG = ROOT / "docs" / "tour.md"
"""Its programs are wrong on purpose (`test_tour.py`)."""
FOLDERS = (ROOT / "docs", ROOT / "docs" / "decisions")
PAGES = [ROOT / "README.md", *(page for folder in FOLDERS for page in sorted(folder.glob("*.md")) if page != WRONG)]
PROGRAMS = [
    pytest.param(text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, text in enumerate(re.findall(r"^```pt\n(edition .*?)^```$", page.read_text("utf-8"), re.M | re.S))
]
EXAMPLES = [pytest.param(path.read_text("utf-8"), id=path.name) for path in sorted((ROOT / "examples").glob("*.pt"))]


@pytest.mark.parametrize("text", PROGRAMS + EXAMPLES)
def test_programs_in_documents_check(text: str) -> None:
    found = [each for each in api.check_text(text).diagnostics if each.severity != "note"]
    assert not found, found
    tree, _ = parse(Source("program.pt", text))
    assert lay_out(tree) == text
