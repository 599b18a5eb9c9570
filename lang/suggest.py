"""Did you mean …?"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` is most likely a slip for, if any is close enough."""
    words = sorted(set(known))
    by_folded = {known_word.casefold(): known_word for known_word in words}
    if word.casefold() in by_folded:
        return by_folded[word.casefold()]
    if len(word) < 3:
        return None
    near = get_close_matches(word, words, n=1, cutoff=0.7 if len(word) > 4 else 0.6)
    return near[0] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> tuple[str, ...]:
    """The help lines for a word nobody knows: one, or none where nothing is close."""
    near = closest(word, known)
    return () if near is None else (f"did you mean `{near}`?",)
