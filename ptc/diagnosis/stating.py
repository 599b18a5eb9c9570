"""Whether a response says the right answer in a form that its verifier may not read."""

from __future__ import annotations

import re

CLOSING = re.compile(r"(?:\s|[^\w\s]|</?\w+>)*")
"""What may stand behind an answer without adding to it: marks, blanks, tags."""


def ends_in(response: str, answer: str) -> bool:
    """Whether a response ends in an answer, told apart from what stands before it, marks and tags behind it aside."""
    text, wanted = response, answer.strip()
    if not wanted or text.strip() == wanted:
        return bool(wanted)
    start = text.rfind(wanted)
    if start < 0:
        return False
    apart = start == 0 or not (text[start - 1].isalnum() and wanted[0].isalnum())
    return apart and CLOSING.fullmatch(text, start + len(wanted)) is not None
