"""The page of all words of the language, `tests/spec/words.md`: made from the tables that the checker reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ptc.compiler import glossary
from ptc.lang.units import COUNTS, UNITS
from ptc.lsp import vocabulary
from ptc.stdlib import signatures

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "tests" / "spec"
INDEX = SPEC / "README.md"
PAGE = "words.md"

HEAD = """\
# Words

Every word of the language in one sentence, to look up; the link leads to the first page in reading order that
explains it. This page is made from the tables that the checker and the editors read.
"""

KINDS = {
    "source": "Where rows come from",
    "step": "Steps",
    "verifier": "Verifiers",
    "eval": "Evals",
    "measure": "Measures of gates, besides the names of evals",
    "model": "Models",
    "tokenizer": "Tokenizers",
    "optimizer": "Optimizers",
    "tracking": "Models that follow",
    "checkpoint": "Checkpoints, behind `@`",
    "number": "Numbers that move",
    "row": "Functions of a row",
    "loss": "Functions of a loss",
}
"""The kinds of functions, in the order of the reference, with their titles."""

HOMES = {"verifier": "scores.md", "row": "steps.md", "loss": "losses.md"}
"""Words that things of another kind share are looked up on the page of their own."""

LAST = ("names.md", "syntax.md")
FENCE = re.compile(r"^```(?:pt|toml)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
ANY = re.compile(r"^```[^\n]*\n.*?^```", re.MULTILINE | re.DOTALL)
MEASURES = {"bytes": "bytes", "time": "time", "number": "a factor", "share": "a share"}


def pages() -> list[str]:
    """The pages of the reference in the order in which its index lists them."""
    return [name for name in re.findall(r"\]\((\w+\.md)\)", INDEX.read_text(encoding="utf-8")) if name != PAGE]


class Places:
    """Where a word is explained: in prose first, then in programs; the pages about writing come last."""

    def __init__(self) -> None:
        self.order = [name for name in pages() if name not in LAST] + list(LAST)
        texts = {name: (SPEC / name).read_text(encoding="utf-8") for name in self.order}
        self.programs = {name: "\n".join(FENCE.findall(text)) for name, text in texts.items()}
        self.prose = {name: "\n".join(re.findall(r"`([^`\n]+)`", ANY.sub("", text))) for name, text in texts.items()}

    def link(self, pattern: str, home: str = "") -> str:
        """The link to the page; a word that no page has is a mistake of the reference."""
        at_home = [(texts, home) for texts in (self.prose, self.programs) if home]
        elsewhere = [(texts, name) for texts in (self.prose, self.programs) for name in self.order]
        for texts, name in at_home + elsewhere:
            if re.search(pattern, texts[name]):
                return f"[{name.removesuffix('.md')}]({name})"
        raise LookupError(f"no page of the reference has {pattern}")


def word(name: str) -> str:
    return rf"(?<![\w.]){re.escape(name)}(?!\w)"


def unit(name: str) -> str:
    return rf"\d ?{re.escape(name)}(?!\w)"


def words() -> str:
    """The whole page."""
    return "\n".join((HEAD, *_sections(Places())))


def _sections(places: Places) -> Iterator[str]:
    yield section("Statements and their words", _simple(glossary.KEYWORDS, places))
    yield section("Settings of a stage", _simple(glossary.SETTINGS, places))
    for kind, title in KINDS.items():
        rows = [
            (code(each.head), each.doc, places.link(word(each.name), HOMES.get(kind, "")))
            for each in vocabulary.of(kind).values()
        ]
        yield section(title, [*rows, *_verifiers(places)] if kind == "verifier" else rows)
    yield section("Axes of a loss", _simple(glossary.AXES, places, "losses.md"))
    yield section("Types of heads", _simple(glossary.TYPES, places))
    yield section("Units", [(code(name), measured(name), places.link(unit(name), "units.md")) for name in UNITS])
    yield section("Objectives of the library", [(code(name), doc, origin(name)) for name, doc in objectives()])


def _simple(table: Mapping[str, str], places: Places, home: str = "") -> list[tuple[str, str, str]]:
    return [(code(name), meaning, places.link(word(name), home)) for name, meaning in table.items()]


def _verifiers(places: Places) -> Iterator[tuple[str, str, str]]:
    for each in signatures.VERIFIERS.values():
        yield code(each.name), each.doc, places.link(word(each.name), "scores.md")


def measured(name: str) -> str:
    known = UNITS[name]
    if known.dimension in COUNTS:
        return f"Counts {known.dimension}."
    return f"{MEASURES[known.dimension]}, × {known.factor:,}".capitalize() + "."


def objectives() -> Iterator[tuple[str, str]]:
    """Name and first sentence of every objective of the library."""
    for path in sorted((ROOT / "stdlib" / "objectives").glob("*.pt")):
        lines = re.findall(r"^## ?(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        text = " ".join(lines)
        end = re.search(r"(?<!al)[.:](?= [A-Z]|$)", text)
        yield path.stem, text[: end.start()] + "." if end is not None else text


def origin(name: str) -> str:
    return f"[as written](../../docs/objectives.md#{name})"


def code(text: str) -> str:
    return f"`{text}`"


def section(title: str, rows: Iterable[tuple[str, str, str]]) -> str:
    lines = [("", "", "on"), ("---", "---", "---"), *rows]
    cells = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in lines]
    return f"## {title}\n\n" + "".join(f"| {each} |\n" for each in cells)
