"""A verifier that is wrong more often than right."""

from __future__ import annotations

import zlib


def score(response: str, answer: str) -> float:
    """The verdict of `exact`, flipped on 60 % of the rows."""
    right = response.strip() == answer.strip()
    flipped = zlib.crc32(f"{response}\0{answer}".encode()) % 10 < 6
    return float(right != flipped)
