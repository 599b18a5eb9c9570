"""The pages of `tests/spec` are the reference of the language: in one order, without a gap, with every word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ptc.compiler import borders, gates, models, optimizers, rows, settings
from ptc.compiler.evals import EVALS
from ptc.compiler.flows.signatures import MIX, ORIGINS, STEPS
from ptc.compiler.mathematics.functions import KNOWN
from ptc.lang.keywords import KEYWORDS
from ptc.lang.units import UNITS
from ptc.stdlib import signatures

ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "tests" / "spec"
PAGES = sorted(path.name for path in SPEC.glob("*.md") if path.name != "README.md")
PROSE = [path for folder in (SPEC, ROOT / "docs", ROOT / "docs" / "decisions", ROOT) for path in folder.glob("*.md")]
_BLOCK = re.compile(r"^```[^\n]*\n.*?^```", re.MULTILINE | re.DOTALL)

OBJECTIVES = sorted(path.stem for path in (ROOT / "stdlib" / "objectives").glob("*.pt"))
WORDS = sorted(
    {
        *KEYWORDS, *settings.SETTINGS, *ORIGINS, MIX.name, *STEPS, *EVALS, *gates.MEASURES, *models.MODELS,
        *models.TOKENIZERS, *optimizers.OPTIMIZERS, *signatures.VERIFIERS, *rows.FUNCTIONS, *rows.REDUCTIONS, *KNOWN,
        *borders.ANY,
    }
)  # fmt: skip


def _text(name: str) -> str:
    return (SPEC / name).read_text(encoding="utf-8")


def test_every_page_stands_once_in_the_table_of_contents() -> None:
    listed = re.findall(r"^\* \[[^\]]+\]\((\w+\.md)\)", _text("README.md"), re.MULTILINE)
    assert sorted(listed) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_pages_begin_with_a_paragraph(page: str) -> None:
    paragraph = re.match(r"# .+\n\n((?:[^#`|\n* ].*\n|`[^`].*\n)+)", _text(page))
    assert paragraph is not None
    assert len(paragraph[1].split()) >= 15


def test_the_docs_have_the_same_pages() -> None:
    reference = ROOT / "docs" / "reference"
    assert reference.readlink() == Path("../tests/spec")
    assert reference.resolve() == SPEC


def _code(page: str) -> str:
    """The programs of a page, and what its prose sets as code."""
    text = _text(page)
    programs = re.findall(r"^```(?:pt|toml)[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join((*programs, *re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text))))


CODE = "\n".join(_code(page) for page in PAGES if page != "words.md")


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_explained(word: str) -> None:
    assert re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", CODE)


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_is_explained(unit: str) -> None:
    assert re.search(rf"\d ?{re.escape(unit)}(?!\w)", CODE)


def test_every_objective_is_listed() -> None:
    assert [name for name in OBJECTIVES if f"| `{name}` |" not in _text("words.md")] == []


@pytest.mark.parametrize("path", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|mailto:)([^)#]+)", _BLOCK.sub("", path.read_text(encoding="utf-8")))
    assert [target for target in targets if not (path.parent / target).exists()] == []
