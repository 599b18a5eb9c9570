"""Markdown pages with programs in them: the fenced blocks of the specification and of the error pages."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^```(?P<tag>[^\n`]*)\n(?P<text>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Fence:
    tag: str
    text: str
    start: int
    """Where its text begins in the page."""
    end: int
    line: int
    """The line of the page on which its text begins."""
    heading: str


def fences(page: str) -> list[Fence]:
    """The fenced blocks of a page, each with the heading it stands under."""
    found = []
    for match in _FENCE.finditer(page):
        headings = re.findall(r"^#+ +(.+)$", re.sub(_FENCE, "", page[: match.start()]), re.MULTILINE)
        found.append(
            Fence(
                match["tag"].strip(),
                match["text"],
                match.start("text"),
                match.end("text"),
                page.count("\n", 0, match.start("text")) + 1,
                headings[-1] if headings else "",
            )
        )
    return found
