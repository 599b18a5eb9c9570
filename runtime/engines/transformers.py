"""The embedded engine: a sampling loop around a transformers causal language model, in the trainer's own process.

*Shared*, it samples from the trainer's module, and a hand-over is nothing. As a *copy*, it owns its module, possibly in
another dtype, and a hand-over copies values. Each distinct prompt is run once; `lanes` says how its attempts share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from transformers import Cache, PreTrainedModel

from ptc.runtime.artifacts import InvariantBroken
from ptc.runtime.engines.lanes import LANES, allows_lanes, folded_attention, lane_mask, new_cache
from ptc.runtime.engines.protocol import Completion, Fingerprint, Request, Sampling
from ptc.runtime.engines.running import Running
from ptc.runtime.engines.stopping import Decode, stop_texts
from ptc.runtime.fingerprints import fingerprint
from ptc.runtime.render import refuse_overlong
from ptc.runtime.sampling import distribution, draw

_LOGITS_AT_ONCE = 1 << 26
"""Rows times vocabulary: half a gigabyte of float64 probabilities."""
_WORTH_REMOVING = 0.25
"""Share of finished groups in the running ones from which removing them pays for copying the cache of the others."""


@dataclass(frozen=True)
class _Group:
    """Attempts at one prompt that run side by side: where their results belong, and one seed for each."""

    prompt: tuple[int, ...]
    request: int
    first_attempt: int
    seeds: tuple[int, ...]


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
        decode: Decode | None = None,
    ) -> None:
        """`decode` is needed where completions end behind texts."""
        self._decode = decode
        self._module = module
        self._end_tokens = frozenset(end_tokens)
        self._shared = shared
        self._version = version
        self._token_budget = token_budget
        self._context: int = module.config.max_position_embeddings
        self._row_limit = max(1, _LOGITS_AT_ONCE // module.config.vocab_size)
        self._lanes = LANES if allows_lanes(module) else 1

    @property
    def version(self) -> int:
        return self._version

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`. Raises `InputWrong` if prompt and completion do not fit into the model's context."""
        refuse_overlong(self._context, [one.prompt_tokens for one in requests], sampling.max_tokens)
        results: dict[tuple[int, int], list[Completion]] = {}
        with self._inference():
            for batch in self._batches(self._groups(requests), sampling.max_tokens):
                for group, completions in zip(batch, self._complete(batch, sampling), strict=True):
                    results[group.request, group.first_attempt] = completions
        gathered: list[list[Completion]] = [[] for _ in requests]
        for request, first_attempt in sorted(results):
            gathered[request] += results[request, first_attempt]
        return gathered

    def logprobs(self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """See `Engine.logprobs`."""
        order = sorted(range(len(sequences)), key=lambda index: sum(map(len, sequences[index])))
        results: list[list[float]] = [[] for _ in sequences]
        with self._inference():
            for start, end in self._spans([sum(map(len, sequences[index])) for index in order]):
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
                f"hand-over of weights: trainer and engine do not have the same tensors ({different}): "
                "leave `engine_copy` out of the profile"
            )
        with torch.no_grad():
            for name, tensor in weights.items():
                own[name].copy_(tensor)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """Without gradients and dropout; a trainer finds its module in the mode it left it in."""
        training = self._module.training
        self._module.train(False)
        try:
            with torch.inference_mode(), folded_attention(self._module) if self._lanes > 1 else nullcontext():
                yield
        finally:
            self._module.train(training)

    def _groups(self, requests: Sequence[Request]) -> list[_Group]:
        """The attempts of each request in groups of at most as many as there are lanes, by length of prompt."""
        groups = [
            _Group(tuple(request.prompt_tokens), index, first, tuple(request.seeds[first : first + self._lanes]))
            for index, request in enumerate(requests)
            for first in range(0, len(request.seeds), self._lanes)
        ]
        return sorted(groups, key=lambda group: (len(group.prompt), group.prompt))

    def _batches(self, groups: Sequence[_Group], max_tokens: int) -> Iterator[Sequence[_Group]]:
        lanes = max((len(group.seeds) for group in groups), default=0)
        for start, end in self._spans([len(group.prompt) for group in groups], lanes * max_tokens, lanes):
            yield groups[start:end]

    def _spans(self, lengths: Sequence[int], extra: int = 0, lanes: int = 1) -> Iterator[tuple[int, int]]:
        """Slices of rows, sorted by length, whose padded size stays within the token budget."""
        start = 0
        for index, length in enumerate(lengths):
            size = index + 1 - start
            if size > 1 and (size * (length + extra) > self._token_budget or size * lanes > self._row_limit):
                yield start, index
                start = index
        if start < len(lengths):
            yield start, len(lengths)

    def _complete(self, groups: Sequence[_Group], sampling: Sampling) -> list[list[Completion]]:
        """The completions of each group. A group leaves the batch when all of it, and enough others, have finished."""
        distinct = {prompt: index for index, prompt in enumerate(dict.fromkeys(group.prompt for group in groups))}
        tokens, real = self._left_padded(list(distinct))
        cache = new_cache(self._module)
        logits = self._forward(tokens, real, _positions(real), cache)[:, -1]
        owner = torch.tensor([distinct[group.prompt] for group in groups], device=tokens.device)
        if len(distinct) < len(groups):
            cache.batch_select_indices(owner)
            logits, real = logits[owner], real[owner]
        stop = stop_texts(sampling.stop, self._decode)
        state = Running([group.seeds for group in groups], self._end_tokens, sampling.max_tokens, stop)
        seen = self._seen(groups, state.lanes) if sampling.repetition_penalty != 1 else None
        logits = logits.repeat_interleave(state.lanes, 0)
        visible = lane_mask(real, state.lanes, sampling.max_tokens)
        positions = real.sum(1, keepdim=True).expand(-1, state.lanes)
        for step in range(sampling.max_tokens):
            logprobs = distribution(logits, sampling, seen)
            drawn = draw(logprobs, state.uniforms(step))
            if seen is not None:
                seen.scatter_(1, drawn.to(seen.device).unsqueeze(1), True)
            state.append(drawn, logprobs.gather(1, drawn.unsqueeze(1)).squeeze(1))
            if state.all_finished or step + 1 == sampling.max_tokens:
                break
            drawn = drawn.view(-1, state.lanes)
            if state.share_finished >= _WORTH_REMOVING:
                kept = state.remove_finished().to(tokens.device)
                cache.batch_select_indices(kept)
                drawn, visible, positions = drawn[kept], visible[kept], positions[kept]
                seen = None if seen is None else seen.view(-1, state.lanes, seen.shape[1])[kept].flatten(0, 1)
            mask = visible[..., : real.shape[1] + state.lanes * (step + 1)]
            logits = self._forward(drawn, mask if self._lanes > 1 else mask[:, 0, 0], positions, cache).flatten(0, 1)
            positions = positions + 1
        return state.completions()

    def _seen(self, groups: Sequence[_Group], lanes: int) -> torch.Tensor:
        """Which tokens stand in the prompt of each lane: bool, shape (groups x lanes, vocabulary)."""
        seen = torch.zeros(len(groups), self._module.config.vocab_size, dtype=torch.bool, device=self._module.device)
        for row, group in enumerate(groups):
            seen[row, list(group.prompt)] = True
        return seen.repeat_interleave(lanes, 0)

    def _forward(self, tokens: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Logits of what follows `tokens` (rows, length): all of one token per lane, only the last of prompts."""
        output = self._module(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=0 if mask.dim() == 4 else 1,
        )
        return cast(torch.Tensor, output.logits)

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


def _positions(real: torch.Tensor) -> torch.Tensor:
    return (real.cumsum(1) - 1).clamp_(min=0)
