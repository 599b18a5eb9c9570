"""Responses that are wrong for certain, to put a verifier to the test: what it says of them, and of gold answers, is
what it can tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ptc.stdlib.verifiers import corrupted

HACKS = ("", "0", "1", "\\boxed{}", "####", "<answer></answer>", "I do not know.", "The answer is the answer.")
"""Responses that no verifier may take for right, unless they are."""
TRIED = 24
"""Rows whose gold answer is corrupted, exchanged and replaced."""
_NUMBER = re.compile(r"[1-9][0-9]*")


def known_wrong(golds: Sequence[tuple[int, str]], tried: int = TRIED) -> Iterator[tuple[int, str]]:
    """Gold answers made wrong, those of other rows, and what only looks like an answer, with the row it is for.

    `golds` are rows with their gold answers; of more than about `tried` rows every so many are taken.
    """
    step = max(1, len(golds) // tried)
    some = list(golds[::step][:tried])
    for place, (row, gold) in enumerate(some):
        other = next((text for _, text in (*some[place + 1 :], *some[:place]) if differ(text, gold)), None)
        hack = HACKS[place % len(HACKS)]
        yield row, corrupted(gold)
        if other is not None:
            yield row, other
        if differ(hack, gold):
            yield row, hack


def differ(one: str, other: str) -> bool:
    """Whether two answers are for certain not one answer, spelled twice."""
    numbers = [_NUMBER.findall(text) for text in (one, other)]
    return numbers[0] != numbers[1] if all(numbers) else one.strip().casefold() != other.strip().casefold()
