"""Samples for people: what a stage took up, as text, with rewards and with which tokens bear loss, a few times a stage.

An observer: it looks at what flows draw, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptc.compiler.graph import Json
from ptc.runtime.batches import Draw, Sample
from ptc.runtime.supply import Flow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GROUPS, ATTEMPTS, TOKENS = 2, 4, 256
"""Of a draw that are shown at most: prompts, samples at each, tokens of each."""
FIRST, PACE = 10, 3
"""The first draw is shown, then the first behind so many steps, then behind so many times as many."""


class Shown:
    """A flow, of whose draws some are told to `log` as they are: rows of the event ``samples``."""

    def __init__(
        self,
        flow: Flow,
        source: str,
        tokenizer: PreTrainedTokenizerBase,
        log: Callable[[Mapping[str, Json]], None],
    ) -> None:
        self._flow = flow
        self._source = source
        self._tokenizer = tokenizer
        self._log = log
        self._next = 0

    @property
    def size(self) -> int:
        return self._flow.size

    @property
    def follows(self) -> str | None:
        return self._flow.follows

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        drawn = self._flow.draw(step, units)
        if step >= self._next:
            self._next = max(FIRST, PACE * step)
            told = [
                each for group in drawn.groups[:GROUPS] for sample in group[:ATTEMPTS] for each in self._told(sample)
            ]
            self._log({"event": "samples", "step": step + 1, "source": self._source, "samples": told})
        return drawn

    def at(self, step: int, drawn: Draw) -> Draw:
        return self._flow.at(step, drawn)

    def save(self, folder: Path, source: str) -> None:
        self._flow.save(folder, source)

    def load(self, folder: Path, source: str) -> None:
        self._flow.load(folder, source)

    def _told(self, sample: Sample) -> list[dict[str, Json]]:
        return [
            {
                "column": column,
                "prompt": self._tokenizer.decode(list(prompt[-TOKENS:])),
                "tokens": [self._tokenizer.decode([token]) for token in tokens[:TOKENS]],
                "mask": [bool(bears) for bears in sample.masks.get(column, [True] * len(tokens))[:TOKENS]],
                "numbers": dict(sample.numbers),
            }
            for column, (prompt, tokens) in sample.sequences.items()
            if " given " not in column and " by " not in column  # the same text, read once more
        ]
