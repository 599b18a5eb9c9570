"""Where completions end behind a stop text: looked for in the last tokens only, after each token that is added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ptc.runtime.engines.protocol import Completion

Decode = Callable[[Sequence[Sequence[int]]], list[str]]
"""Texts of token ids, special tokens written out."""


class StopTexts:
    """The texts behind which a completion ends."""

    def __init__(self, texts: Sequence[str], decode: Decode) -> None:
        self._texts = texts
        self._decode = decode
        self.reach = max(len(text.encode()) for text in texts) + _MARGIN
        """Tokens at the end of a completion that can hold one: a token that says anything is a byte at least."""

    def reached(self, ends: Sequence[Sequence[int]]) -> list[bool]:
        """Whether each of these last tokens of completions holds a stop text."""
        return [
            any(text in said for text in self._texts) for said in self._decode([one[-self.reach :] for one in ends])
        ]

    def cut(self, completion: Completion) -> Completion:
        """The completion up to the first token behind which it holds a stop text; itself if none does."""
        tokens = completion.tokens
        ends = [tokens[max(0, end - self.reach) : end] for end in range(1, len(tokens) + 1)]
        for end, stopped in enumerate(self.reached(ends), start=1):
            if stopped:
                return replace(completion, tokens=tokens[:end], logprobs=completion.logprobs[:end], finished=True)
        return completion


_MARGIN = 4
"""Tokens more, for those that say nothing by themselves: pieces of a character."""


def stop_texts(texts: Sequence[str], decode: Decode | None) -> StopTexts | None:
    """None where no text stops a completion."""
    if not texts:
        return None
    assert decode is not None, "stop texts need a tokenizer, and this engine was opened without one"
    return StopTexts(texts, decode)
