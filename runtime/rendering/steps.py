"""Which tokens of a response belong to which step of it.

A token belongs to the step in which its first character lies. What separates two steps belongs to the one before, as
does a token that begins in a separator and ends in the next step; what stands before the first step belongs to the
first, and the end-of-sequence token to the last. So every token is in one step, and the last token of a step is where
a model knows that the step has ended. A step all of whose characters are in a token that began before it has no token
of its own; its end is that token.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from os.path import commonprefix
from typing import TYPE_CHECKING

from ptc.runtime.rendering.template import decode_all

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def step_of_tokens(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int], steps: Sequence[str]) -> list[int] | int:
    """For each token of a response its step, from 0 on, or -1 where there are no steps.

    Where a step does not stand in the response, behind the one before: that step.
    """
    if not steps:
        return [-1] * len(tokens)
    [text] = decode_all(tokenizer, [tokens])
    places = _places(text, steps)
    if isinstance(places, int):
        return places
    borders = [0, *(_first_from(tokenizer, tokens, text, place) for place in places[1:]), len(tokens)]
    return [step for step in range(len(steps)) for _ in range(borders[step], borders[step + 1])]


def ends_of_steps(step: Sequence[int], steps: int) -> list[int]:
    """The last token of each of so many steps, given the step of each token; at least the first token."""
    return [max(0, bisect_right(step, place) - 1) for place in range(steps)]


def _places(text: str, steps: Sequence[str]) -> list[int] | int:
    """Where each step begins in a text; the step that is not there."""
    places, cursor = [], 0
    for number, step in enumerate(steps):
        found = text.find(step.strip(), cursor)
        if found < 0:
            return number
        places.append(found)
        cursor = found + len(step.strip())
    return places


def _first_from(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int], text: str, place: int) -> int:
    """The first token that begins at a place of the text or behind it.

    A token begins where the text of the tokens before it, which may end in half a character, parts from the whole.
    """

    def begins(count: int) -> int:
        return len(commonprefix([*decode_all(tokenizer, [tokens[:count]]), text]))  # noqa: RUF071 - of texts

    return bisect_left(range(len(tokens)), place, key=begins)
