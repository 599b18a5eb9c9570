"""`ptc explain`: the page of a finding, by its code or by its name."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

OF_THE_TEXT = {
    "S101": "something-else-expected",
    "S102": "unclosed-bracket",
    "S103": "unclosed-string",
    "S104": "stray-bracket",
    "S105": "unknown-statement",
    "S106": "reserved-word",
    "S107": "bad-name",
    "S108": "misplaced-statement",
    "S109": "unknown-edition",
    "S110": "not-in-this-version",
    "S111": "other-spelling",
    "S112": "unknown-character",
    "S113": "bad-escape",
    "S114": "number-too-long",
    "S115": "program-too-large",
    "S116": "given-twice",
    "S117": "unnamed-after-named",
    "S118": "missing-comma",
    "S119": "chained-comparison",
    "S120": "step-is-no-call",
    "S151": "pytorch-checkpoint",
    "S152": "pickle",
    "S153": "model-weights",
    "S154": "other-file-format",
    "S155": "not-utf-8",
    "S156": "other-language",
    "S157": "control-character",
    "S158": "hidden-direction",
    "S159": "zip-at-the-end",
    "S160": "empty-file",
    "S161": "file-too-large",
    "S162": "line-too-long",
    "S163": "no-such-file",
    "S164": "not-a-file",
    "S165": "unreadable-file",
    "U101": "unknown-unit",
}
"""Names of the findings whose pages have a title in words. The other pages have the name for a title."""


@dataclass(frozen=True)
class Page:
    """What a code stands for."""

    code: str
    name: str
    title: str
    path: Path

    def text(self) -> str:
        return self.path.read_text(encoding="utf-8").rstrip()


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
            print(f"{page.code}  {page.name}" + (f": {page.title}" if page.title != page.name else ""))
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
        title = text.readline().strip().removeprefix(f"# {path.stem}: ")
    return Page(path.stem, OF_THE_TEXT.get(path.stem, title), title, path)
