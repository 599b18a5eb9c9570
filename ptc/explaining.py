"""`ptc explain`: the page of a finding, by its code or by its name."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Page:
    """What a code stands for."""

    code: str
    name: str
    path: Path

    def text(self) -> str:
        return self.path.read_text(encoding="utf-8").rstrip()


@cache
def pages() -> tuple[Page, ...]:
    """Every page, in the order of the codes."""
    return tuple(_page(path) for path in sorted(folder().glob("[A-Z][0-9][0-9][0-9].md")))


def find(word: str) -> Page | None:
    """The page of a code or a name, in any case, with `-` or `_`."""
    wanted = _spelled(word)
    return next((page for page in pages() if wanted in (page.code.lower(), page.name)), None)


def nearest(word: str) -> str | None:
    """The code or name that a word nobody knows probably meant."""
    from ptc.lang.suggest import closest

    wanted = _spelled(word)
    names = [page.name for page in pages()]
    codes = [page.code for page in pages()]
    if re.match(r"[a-z]\d", wanted):
        read = wanted[0].upper() + wanted[1:].translate(str.maketrans("oil", "011"))
        return read if read in codes else closest(read, codes)
    return closest(wanted, names) or next((name for name in names if len(wanted) > 3 and wanted in name), None)


def folder() -> Path:
    return Path(__file__).parent / "errors"


def explain(word: str | None) -> int:
    """`ptc explain`: without a word, the list."""
    if word is None:
        for page in pages():
            print(f"{page.code}  {page.name}")
        return 0
    found = find(word)
    if found is not None:
        print(found.text())
        return 0
    near = nearest(word)
    guess = f": did you mean `{near}`?" if near else ""
    print(f"ptc explain: no finding is called `{word}`{guess}; `ptc explain` lists all", file=sys.stderr)
    return 2


def _spelled(word: str) -> str:
    return word.strip().lower().replace("_", "-")


def _page(path: Path) -> Page:
    """The first line of a page is ``# P201: false-on-policy``."""
    with path.open(encoding="utf-8") as text:
        return Page(path.stem, text.readline().strip().removeprefix(f"# {path.stem}: "), path)
