"""Prompts that stand in two sources: exactly, but for case and spacing, or by a long run of words.

Runs of words that many prompts of an eval share are how the task is put, and are not counted; what is left of a prompt
must be found, for the greater part, in *one* row of the other source. Prompts of one generator are compared as wholes
only: its templates are in all of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ptc.runtime.rendering.conversations import content_text, prompt_text
from ptc.runtime.rendering.tables import records

_WORD = re.compile(r"\w+|[^\w\s]")
WORDS = 13
"""Words in a row that two prompts must share to be taken for one."""
SHARED_BY = 3
"""Prompts of one source that hold a run of words before it counts as the way in which a task is put."""
COVERED = 0.5
"""Share of a prompt's own words that one row of the other source must hold (engineering default)."""
LONGEST = 4_000_000
"""Words of a source that are compared."""
_BASE = np.uint64(0x9E3779B97F4A7C15)

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Match:
    """A prompt of the one source, by row, and the row of the other that holds it."""

    row: int
    other: int
    how: str
    """``exactly``, ``but for case and spacing`` or ``in words``."""


def words(text: str) -> tuple[str, ...]:
    """A text as words and signs, without what does not distinguish it: case, spacing, the form of a character."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


class Prompts:
    """What the rows of a source ask."""

    def __init__(self, rows: pa.Table, vocabulary: dict[str, int], length: int = WORDS) -> None:
        """`length` words in a row make two prompts one; `vocabulary` is shared by all that are compared."""
        self.length = length
        self._vocabulary = vocabulary
        found = records(rows)
        self.texts = [prompt_text(record) or _text(record) for record in found]
        self.turns = [_asked(record) for record in found]

    @cached_property
    def exact(self) -> dict[str, int]:
        return self._first({row: (text, *self.turns[row]) for row, text in enumerate(self.texts)})

    @cached_property
    def words(self) -> list[tuple[str, ...]]:
        return [words(text) for text in self.texts]

    @cached_property
    def canonical(self) -> dict[tuple[str, ...], int]:
        found: dict[tuple[str, ...], int] = {}
        for row, spoken in enumerate(self.words):
            for said in (spoken, *(words(turn) for turn in self.turns[row])):
                if said:
                    found.setdefault(said, row)
        return found

    @cached_property
    def runs(self) -> tuple[Hashes, Places, Places]:
        """Every run of words: its hash, the row that it stands in, and its place there."""
        flat: list[int] = []
        lengths = []
        for spoken in self.words:
            if len(flat) > LONGEST:
                spoken = ()
            flat += [self._vocabulary.setdefault(word, len(self._vocabulary)) for word in spoken]
            lengths.append(len(spoken))
        owner = np.repeat(np.arange(len(lengths)), lengths)
        starts = np.cumsum([0, *lengths[:-1]]) if lengths else np.zeros(0, np.int64)
        count = len(flat) - self.length + 1
        if count <= 0:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64)
        ids = (np.asarray(flat, dtype=np.uint64) + np.uint64(1)) * np.uint64(0xBF58476D1CE4E5B9)
        hashes = np.zeros(count, dtype=np.uint64)
        with np.errstate(over="ignore"):
            for offset in range(self.length):
                hashes = hashes * _BASE + ids[offset : offset + count]
        inside = owner[:count] == owner[self.length - 1 :]
        rows = owner[:count][inside]
        return hashes[inside], rows, np.arange(count)[inside] - starts[rows]

    @staticmethod
    def _first(texts: dict[int, tuple[str, ...]]) -> dict[str, int]:
        found: dict[str, int] = {}
        for row, several in texts.items():
            for text in several:
                if text:
                    found.setdefault(text, row)
        return found


def matches(asked: Prompts, known: Prompts, loosely: bool = True) -> list[Match]:
    """The prompts of `asked` that `known` holds: exactly, and `loosely` but for case and spacing, and in words."""
    found: dict[int, Match] = {}
    for row, (text, spoken) in enumerate(zip(asked.texts, asked.words, strict=True)):
        if text and text in known.exact:
            found[row] = Match(row, known.exact[text], "exactly")
        elif loosely and spoken and spoken in known.canonical:
            found[row] = Match(row, known.canonical[spoken], "but for case and spacing")
    if loosely:
        for match in _in_words(asked, known):
            found.setdefault(match.row, match)
    return [found[row] for row in sorted(found)]


def _in_words(asked: Prompts, known: Prompts) -> list[Match]:
    hashes, rows, places = asked.runs
    common = _common(hashes, rows, SHARED_BY)
    theirs, their_rows, _ = known.runs
    common = np.union1d(common, _common(theirs, their_rows, max(SHARED_BY, len(known.texts) // 100)))
    shared = np.setdiff1d(np.intersect1d(hashes, theirs), common)
    if not len(shared):
        return []
    mine = np.isin(hashes, shared)
    usual = np.isin(hashes, common)
    holding: dict[int, list[int]] = {}
    for value, row in zip(theirs[(held := np.isin(theirs, shared))].tolist(), their_rows[held].tolist(), strict=True):
        holding.setdefault(value, []).append(row)
    found = []
    for row in np.unique(rows[mine]).tolist():
        own = rows == row
        length = asked.length
        distinctive = set(range(len(asked.words[row]))) - _covered(places[own & usual].tolist(), length)
        by_row: dict[int, list[int]] = {}
        for value, place in zip(hashes[own & mine].tolist(), places[own & mine].tolist(), strict=True):
            for other in holding.get(value, ()):
                by_row.setdefault(other, []).append(place)
        for other, where in sorted(by_row.items(), key=lambda item: -len(item[1])):
            held_words = len(_covered(where, length) & distinctive)
            if held_words > COVERED * max(len(distinctive), length):
                found.append(Match(row, other, "in words"))
            break
    return found


def _common(hashes: Hashes, rows: Places, limit: int) -> Hashes:
    """Runs that stand in at least `limit` rows."""
    pairs = np.unique(np.stack([hashes.view(np.int64), rows]), axis=1)
    values, counts = np.unique(pairs[0], return_counts=True)
    return values[counts >= limit].view(np.uint64)


def _covered(places: Sequence[int], length: int) -> set[int]:
    return {word for place in places for word in range(place, place + length)}


def _asked(record: dict[str, object]) -> tuple[str, ...]:
    """The turns of a user in a conversation of several: each may be a question by itself."""
    turns = record.get("messages") or record.get("prompt")
    if not isinstance(turns, list):
        return ()
    return tuple(content_text(turn) for turn in turns if isinstance(turn, dict) and turn.get("role") == "user")


def _text(record: dict[str, object]) -> str:
    text = record.get("text")
    return text if isinstance(text, str) else ""
