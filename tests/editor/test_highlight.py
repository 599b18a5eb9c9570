"""Colours: no part of a program is unknown to the lexer, and both grammars have the words of the language."""

from __future__ import annotations

import importlib
import json
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, String, Token

from ptc import highlight
from ptc.highlight import PtcLexer
from ptc.lang.keywords import CLAIMS, KEYWORDS
from ptc.lang.units import UNITS

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted([*(ROOT / "examples").rglob("*.pt"), *(ROOT / "stdlib").rglob("*.pt")])

SAMPLE = """edition 2026
## Documented.
stage cold expands skill {
  train policy = hf.model("a/b", revision = none)  # quick
  batch(demos) = 64 samples
  minimize f(rows, from = 10%, on = .reward) + 2 * g(not true)
}
export cold to f"out/{name}\\n"
"""


def pieces(text: str) -> list[tuple[object, str]]:
    return [(kind, value) for kind, value in PtcLexer().get_tokens(text) if value.strip()]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_every_character_of_a_program_is_known(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tokens = list(PtcLexer(stripnl=False).get_tokens(text))
    assert not [value for kind, value in tokens if kind is Error]
    assert "".join(value for _, value in tokens) == text


def test_tokens_of_a_sample() -> None:
    found = pieces(SAMPLE)
    for kind, value in [
        (Keyword, "edition"),
        (Number, "2026"),
        (Comment.Special, "## Documented."),
        (Keyword.Declaration, "stage"),
        (Name.Class, "cold"),
        (Keyword.Pseudo, "expands"),
        (Keyword.Declaration, "train"),
        (Name.Variable, "policy"),
        (Name.Function, "model"),
        (Name.Attribute, "revision"),
        (Keyword.Constant, "none"),
        (Comment.Single, "# quick"),
        (Name.Builtin, " samples"),
        (Name.Attribute, "from"),
        (Name.Builtin, "%"),
        (Name.Variable.Instance, ".reward"),
        (Operator.Word, "not"),
        (String.Affix, "f"),
        (String.Interpol, "{name}"),
        (String.Escape, "\\n"),
    ]:
        assert (kind, value) in found, (value, [each for each in found if each[1].strip() == value.strip()])


def test_what_is_wrong_is_marked_and_the_rest_still_coloured() -> None:
    found = pieces('let a = 1 ~ 2\nlet b = "open\nlet c = 3\n')
    assert (Token.Error, "~") in found
    assert (Name.Variable, "c") in found


def test_pygments_finds_the_lexer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (place,) = project["entry-points"]["pygments.lexers"].values()
    module, _, name = place.partition(":")
    assert getattr(importlib.import_module(module), name) is PtcLexer


def test_a_program_is_guessed_by_its_first_line_of_code() -> None:
    assert PtcLexer.analyse_text("# a program\n\nedition 2026\n") == 1
    assert PtcLexer.analyse_text("import os\n") == 0


def test_every_word_of_the_language_is_in_one_group() -> None:
    groups = (highlight.LOGIC, highlight.CHOICE, highlight.STATEMENTS)
    assert sorted(word for group in groups for word in group) == sorted(KEYWORDS)
    assert set(CLAIMS) <= KEYWORDS
    assert set(highlight.COUNTED) == set(UNITS) - {"%"}


def test_the_textmate_grammar_is_up_to_date_and_has_every_word() -> None:
    pages = runpy.run_path(str(ROOT / "editors" / "generate.py"))["PAGES"]
    for page, made in pages.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        assert text == made(), "run `make docs`"
        rules = json.loads(text)["repository"]["words"]["patterns"]
        words = {word for rule in rules for word in re.findall(r"\w{2,}", rule["match"])}
        assert words >= KEYWORDS
