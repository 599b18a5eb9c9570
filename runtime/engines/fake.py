"""The fake engine: completions from a hash of version, prompt and seed, for tests of everything around an engine.

It holds no model. `deaf` makes it keep the weights it has, as an engine would whose hand-over was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

from ptc.runtime.engines.protocol import Completion, Fingerprint, Request, Sampling
from ptc.runtime.engines.stopping import Decode, stop_texts
from ptc.runtime.fingerprints import fingerprint
from ptc.runtime.sampling import Uniforms, seed_of


class FakeEngine:
    """`Engine` without a model: tokens are uniform over the vocabulary, a quarter of them end the completion."""

    def __init__(
        self,
        vocabulary: int,
        end_tokens: Iterable[int],
        *,
        version: int = 0,
        deaf: bool = False,
        decode: Decode | None = None,
    ) -> None:
        """`decode` is needed where completions end behind texts."""
        self._decode = decode
        self._vocabulary = vocabulary
        self._end_tokens = sorted(end_tokens)
        self._version = version
        self._deaf = deaf
        self._fingerprints: dict[str, Fingerprint] = {}
        self.generated = 0
        """Completions made so far: what a test counts to see that nothing was sampled twice."""

    @property
    def version(self) -> int:
        return self._version

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        self.generated += sum(len(request.seeds) for request in requests)
        whole = [
            [self._complete(request.prompt_tokens, seed, sampling) for seed in request.seeds] for request in requests
        ]
        stop = stop_texts(sampling.stop, self._decode)
        return whole if stop is None else [[stop.cut(one) for one in own] for own in whole]

    def logprobs(self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        return [
            [-1.0 - self._hash(*prompt, -1, *response[: index + 1]) for index in range(len(response))]
            for prompt, response in sequences
        ]

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        self._version = version
        if not self._deaf:
            self._fingerprints = {name: fingerprint(tensor, torch.float32) for name, tensor in weights}

    def fingerprints(self) -> Mapping[str, Fingerprint]:
        return self._fingerprints

    def close(self) -> None:
        """There is nothing to free."""

    def _complete(self, prompt: Sequence[int], seed: int, sampling: Sampling) -> Completion:
        uniforms = Uniforms([seed_of(seed, self._version, *map(int, prompt))], sampling.max_tokens)
        tokens: list[int] = []
        for position in range(sampling.max_tokens):
            uniform = float(uniforms.at(position)[0])
            ends = uniform < 0.25 and bool(self._end_tokens)
            tokens.append(self._end_tokens[0] if ends else int(uniform * self._vocabulary))
            if tokens[-1] in self._end_tokens:
                break
        return Completion(
            tokens=tuple(tokens),
            logprobs=tuple(-1.0 - self._hash(*prompt, -1, *tokens[: index + 1]) for index in range(len(tokens))),
            finished=tokens[-1] in self._end_tokens,
        )

    def _hash(self, *tokens: int) -> float:
        """A number in [0, 1) that depends on the version and the tokens."""
        return seed_of(self._version, *map(int, tokens)) / 2**63
