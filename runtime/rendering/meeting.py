"""One text in the tokens of two tokenizers: which tokens of the two begin behind the same text.

There, and only there, two models that read it have been told the same and say what comes next. Where a token of the one
begins inside a token of the other, the other says nothing that could be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, groupby
from os.path import commonprefix
from typing import TYPE_CHECKING

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.rendering.conversations import Conversation
from ptc.runtime.rendering.turns import Fault, Mask, Problem, Rendered, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HALF = "\ufffd"
"""What a decoder writes for bytes that are no whole character."""
OF_THE_TEXT = (Fault.END_IN_TEXT, Fault.BORDER_MERGED)
"""What a single text may have in it that cannot be read; a model that samples may write it."""
BYTES = 4
"""The most tokens of one byte in a character."""


@dataclass(frozen=True)
class Reader:
    """How a model reads that has a tokenizer of its own."""

    tokenizer: PreTrainedTokenizerBase
    context: int | None = None
    """Tokens that it can read; what is beyond them it does not meet."""

    def reads_as(self, other: PreTrainedTokenizerBase) -> bool:
        """Whether all tokens, and all conversations, mean the same to both."""
        return self._traits == Reader(other)._traits

    @cached_property
    def _traits(self) -> tuple[object, ...]:
        own = self.tokenizer
        return own.get_vocab(), own.chat_template, own.eos_token_id, own.bos_token_id


@dataclass(frozen=True)
class Met:
    """A text in other tokens, of which those bear loss that are met."""

    rendered: Rendered
    places: tuple[int, ...]
    """For each of these, which of the tokens that bear loss in the first reading it meets."""


def met(
    reader: Reader, tokenizer: PreTrainedTokenizerBase, one: Rendered, asked: Conversation, mask: Mask, begun: int = 0
) -> Met:
    """How a model reads a conversation that has been read as `one`, whose first turn began so many tokens before those
    that bear loss.

    Raises `InputWrong` where it cannot be read, or where not the same turns are learned; of a text that holds what ends
    one for this reader nothing is read.
    """
    [other] = render(reader.tokenizer, [asked], mask)
    if isinstance(other, Problem):
        if other.fault in OF_THE_TEXT:
            return unread(one)
        raise InputWrong(other.said)
    own, theirs = (_turns(each.loss_mask) for each in (one, other))
    if len(own) != len(theirs):
        raise InputWrong(
            f"{len(own)} turns are learned, and {len(theirs)} in the tokens of the model that reads it with its own "
            'tokenizer: use mask = "assistant", and rows that are not split'
        )
    borne = [0, *accumulate(one.loss_mask)]
    pairs: list[tuple[int, int]] = []
    for number, (mine, its) in enumerate(zip(own, theirs, strict=True)):
        before = begun if number == 0 else 0
        first = _Text.of(tokenizer, one.tokens[mine.start - before : mine.stop])
        second = _Text.of(reader.tokenizer, other.tokens[its.start : its.stop])
        pairs += [
            (borne[mine.start + place - before], its.start + there)
            for place, there in first.meets(second)
            if place >= before
        ]
    return _read(other, [pair for pair in pairs if pair[1] < (reader.context or len(other.tokens))])


def unread(one: Rendered) -> Met:
    """Nothing of it, of a row that is not learned from."""
    return Met(replace(one, loss_mask=(False,) * len(one.loss_mask)), ())


def alike(one: Rendered) -> Met:
    """Every token of it."""
    return Met(one, tuple(range(one.trained)))


def _read(other: Rendered, pairs: Sequence[tuple[int, int]]) -> Met:
    """What is behind the last token that is met is not read."""
    there = {place for _, place in pairs}
    stop = max(there, default=0) + 1
    return Met(
        Rendered(other.tokens[:stop], tuple(place in there for place in range(stop))), tuple(own for own, _ in pairs)
    )


def _turns(mask: Sequence[bool]) -> list[range]:
    """Where tokens one behind the other bear loss."""
    found, place = [], 0
    for bears, group in groupby(mask):
        stop = place + len(list(group))
        if bears:
            found.append(range(place, stop))
        place = stop
    return found


@dataclass(frozen=True)
class _Text:
    """What some tokens say, without special tokens, and how much of it has been said before each of them; None before
    one that begins in the middle of a character."""

    text: str
    before: tuple[int | None, ...]

    @staticmethod
    def of(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> _Text:
        """Decoded token by token, each behind the few before it: how it is written may depend on them."""

        def said(start: int, stop: int) -> str:
            own = list(tokens[start:stop])
            return str(tokenizer.decode(own, skip_special_tokens=True, clean_up_tokenization_spaces=False))

        text, before = "", list[int | None]()
        start = done = 0
        for place in range(len(tokens)):
            before.append(len(text) if done == place else None)
            known, longer = said(start, done), said(start, place + 1)
            if not longer.endswith(HALF) or place + 1 - done >= BYTES:
                text += longer[len(known) :]
                start, done = done, place + 1
        return _Text(text, tuple(before))

    def meets(self, other: _Text) -> list[tuple[int, int]]:
        """The tokens of both that begin behind the same text."""
        mine, its = self._beyond(other), other._beyond(self)
        agreed = len(commonprefix([self.text[mine:], other.text[its:]]))  # noqa: RUF071 - of texts
        there: dict[int, int] = {}
        for place, said in enumerate(other.before):
            if said is not None:
                there.setdefault(said - its, place)
        found = []
        for place, said in enumerate(self.before):
            if said is not None and 0 <= said - mine <= agreed and said - mine in there:
                found.append((place, there.pop(said - mine)))
        return found

    def _beyond(self, other: _Text) -> int:
        """How much stands before what the other says, written by a template: an empty thought, a blank."""
        if self.text.startswith(other.text) or other.text.startswith(self.text):
            return 0
        if self.text.endswith(other.text):
            return len(self.text) - len(other.text)
        return max(0, self.text.find(other.text))
