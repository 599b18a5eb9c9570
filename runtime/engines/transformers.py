"""The embedded engine: a sampling loop around a transformers causal language model, in the trainer's own process.

*Shared*, it samples from the trainer's module, and a hand-over is nothing. As a *copy*, it owns its module, possibly in
another dtype, and a hand-over copies values. Each distinct prompt is run once and its cache is shared by its attempts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from ptc.runtime.artifacts import InputWrong, InvariantBroken
from ptc.runtime.engines.protocol import Completion, Fingerprint, Request, Sampling
from ptc.runtime.fingerprints import fingerprint
from ptc.runtime.sampling import Uniforms, distribution, draw

_LOGITS_AT_ONCE = 1 << 26
"""Rows times vocabulary: half a gigabyte of float64 probabilities."""
_WORTH_REMOVING = 0.25
"""Share of finished rows in the running ones from which removing them pays for copying the cache of the others."""


@dataclass(frozen=True)
class _Row:
    """One completion to make: which prompt it continues, its seed, and where its result belongs."""

    prompt: tuple[int, ...]
    seed: int
    request: int
    attempt: int


class TransformersEngine:
    """`Engine` over a transformers module. `token_budget` bounds rows x (prompt + completion) tokens held at once."""

    def __init__(
        self,
        module: PreTrainedModel,
        end_tokens: Iterable[int],
        *,
        shared: bool,
        version: int = 0,
        token_budget: int = 1 << 16,
    ) -> None:
        self._module = module
        self._end_tokens = frozenset(end_tokens)
        self._shared = shared
        self._version = version
        self._token_budget = token_budget
        self._context: int = module.config.max_position_embeddings
        self._row_limit = max(1, _LOGITS_AT_ONCE // module.config.vocab_size)

    @property
    def version(self) -> int:
        return self._version

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`. Raises `InputWrong` if prompt and completion do not fit into the model's context."""
        rows = [
            _Row(tuple(request.prompt_tokens), seed, index, attempt)
            for index, request in enumerate(requests)
            for attempt, seed in enumerate(request.seeds)
        ]
        self._refuse_overlong(max((len(row.prompt) for row in rows), default=0), sampling.max_tokens)
        results: dict[tuple[int, int], Completion] = {}
        with self._inference():
            for batch in self._batches(
                sorted(rows, key=lambda row: (len(row.prompt), row.prompt)), sampling.max_tokens
            ):
                for row, completion in zip(batch, self._complete(batch, sampling), strict=True):
                    results[row.request, row.attempt] = completion
        return [
            [results[index, attempt] for attempt in range(len(request.seeds))] for index, request in enumerate(requests)
        ]

    def logprobs(self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """See `Engine.logprobs`."""
        order = sorted(range(len(sequences)), key=lambda index: sum(map(len, sequences[index])))
        results: list[list[float]] = [[] for _ in sequences]
        with self._inference():
            for start, end in self._spans([sum(map(len, sequences[index])) for index in order], 0):
                batch = [sequences[index] for index in order[start:end]]
                for index, values in zip(order[start:end], self._forced(batch), strict=True):
                    results[index] = values
        return results

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        """Copies the values, cast to this engine's dtype; a shared module has them already.

        Raises `InvariantBroken` if the state is not the full state of this module.
        """
        if not self._shared:
            self._copy(dict(weights))
        self._version = version

    def fingerprints(self) -> Mapping[str, Fingerprint]:
        return {name: fingerprint(tensor, tensor.dtype) for name, tensor in self._module.state_dict().items()}

    def close(self) -> None:
        """A shared module belongs to the trainer; a copy goes with this object."""

    def _copy(self, weights: Mapping[str, torch.Tensor]) -> None:
        own = self._module.state_dict()
        if weights.keys() != own.keys():
            different = ", ".join(sorted(weights.keys() ^ own.keys())[:5])
            raise InvariantBroken(
                f"hand-over of weights: trainer and engine do not have the same tensors ({different})"
            )
        with torch.no_grad():
            for name, tensor in weights.items():
                own[name].copy_(tensor)

    def _refuse_overlong(self, prompt_tokens: int, max_tokens: int) -> None:
        if prompt_tokens + max_tokens > self._context:
            raise InputWrong(
                f"a prompt of {prompt_tokens} tokens and max_tokens = {max_tokens} do not fit into the model's "
                f"context of {self._context} tokens: lower max_tokens, or keep shorter prompts"
            )

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """Without gradients and dropout; a trainer finds its module in the mode it left it in."""
        training = self._module.training
        self._module.train(False)
        try:
            with torch.inference_mode():
                yield
        finally:
            self._module.train(training)

    def _batches(self, rows: Sequence[_Row], max_tokens: int) -> Iterator[Sequence[_Row]]:
        for start, end in self._spans([len(row.prompt) for row in rows], max_tokens):
            yield rows[start:end]

    def _spans(self, lengths: Sequence[int], extra: int) -> Iterator[tuple[int, int]]:
        """Slices of rows, sorted by length, whose padded size stays within the token budget."""
        start = 0
        for index, length in enumerate(lengths):
            size = index + 1 - start
            if size > 1 and (size * (length + extra) > self._token_budget or size > self._row_limit):
                yield start, index
                start = index
        if start < len(lengths):
            yield start, len(lengths)

    def _complete(self, rows: Sequence[_Row], sampling: Sampling) -> list[Completion]:
        """One completion per row. All rows are in the batch until enough of them have finished."""
        distinct = {prompt: index for index, prompt in enumerate(dict.fromkeys(row.prompt for row in rows))}
        tokens, real = self._left_padded(list(distinct))
        cache = DynamicCache(config=self._module.config)
        logits = self._forward(tokens, real, _positions(real), cache)
        owner = torch.tensor([distinct[row.prompt] for row in rows], device=tokens.device)
        if len(distinct) < len(rows):
            cache.batch_select_indices(owner)
            logits, real = logits[owner], real[owner]
        state = _Running(rows, self._end_tokens)
        uniforms = Uniforms([row.seed for row in rows], sampling.max_tokens)
        positions = real.sum(1)
        for step in range(sampling.max_tokens):
            logprobs = distribution(logits, sampling)
            drawn = draw(logprobs, uniforms.at(step, state.running))
            state.append(drawn, logprobs.gather(1, drawn.unsqueeze(1)).squeeze(1))
            if state.all_finished or step + 1 == sampling.max_tokens:
                break
            if state.share_finished >= _WORTH_REMOVING:
                kept = state.remove_finished().to(tokens.device)
                cache.batch_select_indices(kept)
                drawn, real, positions = drawn[kept], real[kept], positions[kept]
            real = torch.cat([real, real.new_ones(len(real), 1)], dim=1)
            logits = self._forward(drawn.unsqueeze(1), real, positions.unsqueeze(1), cache)
            positions = positions + 1
        return state.completions()

    def _forward(
        self, tokens: torch.Tensor, real: torch.Tensor, positions: torch.Tensor, cache: DynamicCache
    ) -> torch.Tensor:
        """Logits (rows, vocabulary) of the token that follows the last of `tokens` (rows, length)."""
        output = self._module(
            input_ids=tokens,
            attention_mask=real,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]  # type: ignore[no-any-return]

    def _forced(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """Log-probabilities of the responses. Rows end together: logits are made only where responses are."""
        longest = max(len(response) for _, response in pairs)
        tokens, real = self._left_padded([(*prompt, *response) for prompt, response in pairs])
        output = self._module(
            input_ids=tokens,
            attention_mask=real,
            position_ids=_positions(real),
            use_cache=False,
            logits_to_keep=longest + 1,
        )
        logprobs = output.logits[:, -longest - 1 : -1].float().log_softmax(2)
        chosen = logprobs.gather(2, tokens[:, tokens.shape[1] - longest :].unsqueeze(2)).squeeze(2).tolist()
        return [values[longest - len(response) :] for values, (_, response) in zip(chosen, pairs, strict=True)]

    def _left_padded(self, sequences: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids (rows, length), 0 where there is none, and which of them are real (int64, 0 or 1)."""
        length = max(map(len, sequences))
        tokens = np.zeros((len(sequences), length), dtype=np.int64)
        real = np.zeros_like(tokens)
        for row, sequence in enumerate(sequences):
            tokens[row, length - len(sequence) :] = sequence
            real[row, length - len(sequence) :] = 1
        device = self._module.device
        return torch.from_numpy(tokens).to(device), torch.from_numpy(real).to(device)


class _Running:
    """What has been drawn so far, and which rows are still in the batch."""

    def __init__(self, rows: Sequence[_Row], end_tokens: frozenset[int]) -> None:
        self._end_tokens = torch.tensor(sorted(end_tokens))
        self.running = np.arange(len(rows))
        self._finished = np.zeros(len(rows), dtype=bool)
        self._tokens: list[list[int]] = [[] for _ in rows]
        self._logprobs: list[list[float]] = [[] for _ in rows]

    def append(self, drawn: torch.Tensor, logprobs: torch.Tensor) -> None:
        """The next token of every running row; what is drawn for a finished one is dropped."""
        ended = torch.isin(drawn.cpu(), self._end_tokens).tolist()
        for row, token, logprob, ends in zip(self.running, drawn.tolist(), logprobs.tolist(), ended, strict=True):
            if not self._finished[row]:
                self._tokens[row].append(token)
                self._logprobs[row].append(logprob)
                self._finished[row] = ends

    @property
    def all_finished(self) -> bool:
        return bool(self._finished[self.running].all())

    @property
    def share_finished(self) -> float:
        return float(self._finished[self.running].mean())

    def remove_finished(self) -> torch.Tensor:
        """Indices, within the running rows, of those that go on."""
        kept = np.flatnonzero(~self._finished[self.running])
        self.running = self.running[kept]
        return torch.from_numpy(kept)

    def completions(self) -> list[Completion]:
        return [
            Completion(tuple(tokens), tuple(logprobs), bool(finished))
            for tokens, logprobs, finished in zip(self._tokens, self._logprobs, self._finished, strict=True)
        ]


def _positions(real: torch.Tensor) -> torch.Tensor:
    return (real.cumsum(1) - 1).clamp_(min=0)
