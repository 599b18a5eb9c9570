"""Tiny real tokenizers: byte-level BPE with a few dozen merges and a family's special tokens at their public ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s+")
"""Close to how GPT-2's tokenizer cuts text into words before it merges bytes."""


def byte_letters() -> dict[int, str]:
    """A visible letter for each byte: itself where it can be seen, else one from 256 on."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in seen}
    hidden = (byte for byte in range(256) if byte not in letters)
    letters.update({byte: chr(256 + count) for count, byte in enumerate(hidden)})
    return dict(sorted(letters.items()))


def merges(texts: Iterable[str], count: int) -> list[tuple[str, str]]:
    """The most frequent neighbours, merged one after another; ties go to the pair that sorts first."""
    letters = byte_letters()
    words = Counter(word for text in texts for word in WORD.findall(text))
    pieces = {word: tuple(letters[byte] for byte in word.encode()) for word in words}
    found: list[tuple[str, str]] = []
    while len(found) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in pieces.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        found.append(best)
        pieces = {word: _joined(parts, best) for word, parts in pieces.items()}
    return found


def _joined(parts: Sequence[str], pair: tuple[str, str]) -> tuple[str, ...]:
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)


def document(merged: Sequence[tuple[str, str]], special: dict[str, int], first: int) -> dict[str, Any]:
    """A `tokenizer.json`. Bytes and merges are numbered from `first` on, special tokens as their family does."""
    plain = [*byte_letters().values(), *("".join(pair) for pair in merged)]
    vocabulary = {token: first + count for count, token in enumerate(plain)}
    assert not set(vocabulary.values()) & set(special.values())
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": number,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": token not in ("<think>", "</think>", "<tool_call>", "</tool_call>"),
            }
            for token, number in sorted(special.items(), key=lambda item: item[1])
        ],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary | special,
            "merges": [list(pair) for pair in merged],
        },
    }
