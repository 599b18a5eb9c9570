"""Markdown pages with programs in them: the fenced blocks of the specification and of the error pages.

A block that is tagged ```` ```pt NAME.pt ```` is a file beside the program of the next block.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_FILE = re.compile(r"pt (?P<path>\S+\.pt)")
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
    siblings: Mapping[str, str] = field(default_factory=dict)
    """The files beside it, by their paths."""


def fences(page: str) -> list[Fence]:
    """The fenced blocks of a page, each with the heading it stands under."""
    found = []
    siblings: dict[str, str] = {}
    for match in _FENCE.finditer(page):
        file = _FILE.fullmatch(match["tag"].strip())
        if file is not None:
            siblings[file["path"]] = match["text"]
            continue
        headings = re.findall(r"^#+ +(.+)$", re.sub(_FENCE, "", page[: match.start()]), re.MULTILINE)
        found.append(
            Fence(
                match["tag"].strip(),
                match["text"],
                match.start("text"),
                match.end("text"),
                page.count("\n", 0, match.start("text")) + 1,
                headings[-1] if headings else "",
                siblings,
            )
        )
        siblings = {}
    return found
