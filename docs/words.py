"""The page of all words of the language, `tests/spec/words.md`: made from the tables that the checker reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

from ptc.compiler import glossary
from ptc.lang.units import COUNTS, UNITS
from ptc.lsp import vocabulary
from ptc.stdlib import signatures

OBJECTIVES = Path(__file__).resolve().parent.parent / "stdlib" / "objectives"

HEAD = """\
# Words

Every word of the language in one sentence, to look up; each part names the page that explains it. This page is made
from the tables that the checker and the editors read.
"""

KINDS = {
    "source": ("Where rows come from", "sources.md"),
    "step": ("Steps", "steps.md"),
    "verifier": ("Verifiers", "scores.md"),
    "eval": ("Evals", "evals.md"),
    "measure": ("Measures of gates, besides the names of evals", "claims.md"),
    "series": ("Measures of guards, besides the names of watched evals", "guards.md"),
    "model": ("Models", "models.md"),
    "tokenizer": ("Tokenizers", "models.md"),
    "optimizer": ("Optimizers", "stages.md"),
    "tracking": ("Models that follow", "stages.md"),
    "checkpoint": ("Checkpoints, behind `@`", "stages.md"),
    "number": ("Numbers that move", "objectives.md"),
    "row": ("Functions of a row", "steps.md"),
    "loss": ("Functions of a loss", "losses.md"),
}
"""The kinds of functions in the order of the reference, each with its title and its page."""

MEASURES = {"bytes": "bytes", "time": "seconds", "number": "a factor", "share": "a share"}

Rows = Iterable[tuple[str, str]]


def words() -> str:
    """The whole page."""
    return "\n".join((HEAD, *_sections()))


def _sections() -> Iterator[str]:
    yield section("Statements and their words", "syntax.md", glossary.KEYWORDS.items())
    yield section("Settings of a stage", "stages.md", glossary.SETTINGS.items())
    for kind, (title, page) in KINDS.items():
        rows = [(each.head, each.doc) for each in vocabulary.of(kind).values()]
        yield section(title, page, [*rows, *_verifiers()] if kind == "verifier" else rows)
    yield section("Axes of a loss", "losses.md", glossary.AXES.items())
    yield section("Types of heads", "signatures.md", glossary.TYPES.items())
    yield section("Units", "units.md", _units())
    yield section("Objectives of the library", "../../docs/objectives.md", _objectives())


def _verifiers() -> Rows:
    return ((each.name, each.doc) for each in signatures.VERIFIERS.values())


def _units() -> Rows:
    """Units of one meaning on one line: ``steps``, ``step``."""
    for (dimension, factor), units in groupby(UNITS.values(), lambda unit: (unit.dimension, unit.factor)):
        meaning = f"counts {dimension}" if dimension in COUNTS else f"{MEASURES[dimension]}, × {factor:,}"
        yield "`, `".join(unit.name for unit in units), meaning.capitalize() + "."


def _objectives() -> Rows:
    """Name and first sentence of every objective."""
    for path in sorted(OBJECTIVES.glob("*.pt")):
        text = " ".join(re.findall(r"^## ?(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE))
        end = re.search(r"(?<!al)[.:](?= [A-Z]|$)", text)
        yield path.stem, text[: end.start()] + "." if end is not None else text


def section(title: str, page: str, rows: Iterable[tuple[str, str]]) -> str:
    table: Mapping[str, str] = dict(rows)
    lines = ((f"`{name}`".replace("|", "\\|"), meaning.replace("|", "\\|")) for name, meaning in table.items())
    name = page.rsplit("/", 1)[-1].removesuffix(".md")
    head = f"## {title}\n\nExplained in [{name}]({page}).\n\n| | |\n|---|---|\n"
    return head + "".join(f"| {word} | {meaning} |\n" for word, meaning in lines)
