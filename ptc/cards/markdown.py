"""Text that says what it says and nothing else, whatever stands in it: labels, paths and words come from data too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def fenced(text: str, language: str = "") -> str:
    """A block in which nothing is markup: its fence is longer than any run of backticks in the text."""
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}{language}\n{_plain(text)}\n{fence}"


def code(text: str) -> str:
    """The same within a line."""
    line = " ".join(_plain(text).split()) or " "
    fence = "`" * (_longest(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown; strokes in them are escaped, for tables end cells there even within code."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _longest(text: str) -> int:
    return max(map(len, re.findall(r"`+", text)), default=0)


def _plain(text: str) -> str:
    """Without control characters, which a terminal or a page might obey."""
    return "".join(letter for letter in text if letter in "\n\t" or letter.isprintable())
