"""Markdown pages with programs in them: the fenced blocks of the specification and of the error pages.

A block that is tagged ```` ```pt NAME.pt ```` is a file beside the program of the next block; ```` ```toml ```` is the
profile under which it is checked, and `# installed: NAME VERSION` in it says what the machine would have.
```` ```jsonl rows.jsonl ```` is a file with rows, ```` ```jinja model/chat_template.jinja ```` the template of a model
folder, ```` ```json model/config.json ```` what its configuration says beyond the usual: a program with such files is
checked as by ``--data`` (`data_pages`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ptc.compiler.catalogue import Placement

_FILE = re.compile(r"pt (?P<path>\S+\.pt)")
_DATA = re.compile(r"(?:jsonl|jinja|json) (?P<path>\S+)")
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
    profile: str = ""
    """The profile under which it is checked."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The data beside it, by path."""

    @property
    def placement(self) -> Placement | None:
        """Where the program would run, if the page says so."""
        return placement_of(self.profile) if self.profile else None


def placement_of(text: str) -> Placement:
    """A profile as the compiler sees it, on a machine that has every library but for what the text says."""
    from ptc import placing
    from ptc.runtime.profile import Profile

    profile = Profile.model_validate(tomllib.loads(text))
    placed = placing.placed(profile, "profile.toml")
    installed = dict(re.findall(r"^# installed: (\S+) (\S+)$", text, re.MULTILINE))
    known = (each for each in placing.needed(profile.engine) if each.name in installed)
    libraries = [replace(each, found=installed[each.name]) for each in known]
    return replace(placed, outdated=tuple(library for library in libraries if not placing.fits(library)))


def fences(page: str) -> list[Fence]:
    """The fenced blocks of a page, each with the heading it stands under."""
    found = []
    siblings: dict[str, str] = {}
    profile = ""
    files: dict[str, str] = {}
    for match in _FENCE.finditer(page):
        file = _FILE.fullmatch(match["tag"].strip())
        if file is not None:
            siblings[file["path"]] = match["text"]
            continue
        data = _DATA.fullmatch(match["tag"].strip())
        if data is not None:
            files[data["path"]] = match["text"]
            continue
        if match["tag"].strip() == "toml":
            profile = match["text"]
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
                profile,
                files,
            )
        )
        siblings, profile, files = {}, "", {}
    return found
