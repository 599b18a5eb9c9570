"""An engine that counts what it is asked for, so that nobody else has to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptc.runtime import costs
from ptc.runtime.costs import Arithmetic
from ptc.runtime.engines.protocol import Completion, Request, Sampling
from ptc.runtime.engines.sharing import Around


@dataclass(frozen=True)
class CountingEngine(Around):
    """Tells the meter of the node that is computed (`runtime.costs`) what another engine reads and samples."""

    arithmetic: Arithmetic

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`. A prompt that is asked for several times at once is read once."""
        completions = self.own.generate(requests, sampling)
        lengths: dict[tuple[int, ...], list[int]] = {}
        for request, made in zip(requests, completions, strict=True):
            lengths.setdefault(tuple(request.prompt_tokens), []).extend(len(one.tokens) for one in made)
        for prompt, own in lengths.items():
            costs.sampled(self.arithmetic, len(prompt), own)
        return completions

    def logprobs(self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """See `Engine.logprobs`."""
        found = self.own.logprobs(sequences)
        costs.read(self.arithmetic, [len(prompt) + len(response) for prompt, response in sequences])
        return found
