"""The files beside a program, that it may import: read when they are first asked for, and never above its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ptc.lang.reading import read
from ptc.lang.source import Source

LISTED = 200
"""Files that are looked at when a name is to be guessed."""


class Siblings(Mapping[str, Source | str]):
    """Texts by their path from the program's folder (``sub/other.pt``), or what keeps one from being read."""

    def __init__(self, program: str, texts: Mapping[str, str] | None = None) -> None:
        """`program` is the path of the program; `texts` stand for the files where they are given."""
        self._folder = Path(program).parent
        self._texts = texts
        self._known: dict[str, Source | str | None] = {}

    def __getitem__(self, path: str) -> Source | str:
        if path not in self._known:
            self._known[path] = self._read(path)
        found = self._known[path]
        if found is None:
            raise KeyError(path)
        return found

    def __iter__(self) -> Iterator[str]:
        if self._texts is not None:
            yield from self._texts
            return
        count = 0
        for folder, folders, files in os.walk(self._folder):
            folders[:] = [name for name in folders if name.isidentifier()]
            for name in sorted(files):
                if name.endswith(".pt") and name.removesuffix(".pt").isidentifier():
                    yield Path(folder, name).relative_to(self._folder).as_posix()
                count += 1
                if count == LISTED:
                    return

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _read(self, path: str) -> Source | str | None:
        shown = str(self._folder / path)
        if self._texts is not None:
            return Source(shown, self._texts[path]) if path in self._texts else None
        file = Path(shown)
        if not file.exists():
            return None
        if not file.resolve().is_relative_to(self._folder.resolve()):
            return "it lies outside the program's folder"
        found = read(file)
        return found if isinstance(found, Source) else found.title
