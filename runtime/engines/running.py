"""The completions of a batch while they grow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ptc.runtime.engines.protocol import Completion
from ptc.runtime.engines.stopping import StopTexts
from ptc.runtime.sampling import Uniforms


class Running:
    """What has been drawn so far in each lane of each group, and which groups are still in the batch.

    All groups have as many lanes as the largest; a lane without a seed counts as finished from the beginning.
    """

    def __init__(
        self, seeds: Sequence[Sequence[int]], end_tokens: frozenset[int], max_tokens: int, stop: StopTexts | None = None
    ) -> None:
        self.lanes = max(map(len, seeds))
        self._seeds = seeds
        self._stop = stop
        self._end_tokens = np.array(sorted(end_tokens), dtype=np.int64)
        self._running = np.arange(len(seeds))
        self._given = np.array([[lane < len(own) for lane in range(self.lanes)] for own in seeds])
        self._ended = np.zeros_like(self._given)
        self._uniforms = Uniforms(
            [seed for own in seeds for seed in (*own, *[0] * (self.lanes - len(own)))], max_tokens
        )
        self._tokens: list[npt.NDArray[np.int64]] = []
        self._logprobs: list[npt.NDArray[np.float32]] = []
        self._lengths = np.zeros(self._given.shape, dtype=np.int64)

    def uniforms(self, step: int) -> torch.Tensor:
        """Float64, shape (running groups x lanes,)."""
        rows = (self._running[:, None] * self.lanes + np.arange(self.lanes)).reshape(-1)
        return self._uniforms.at(step, rows)

    def append(self, drawn: torch.Tensor, logprobs: torch.Tensor) -> None:
        """The next token, and its log-probability, of every lane of the running groups; finished lanes drop theirs."""
        tokens = np.zeros_like(self._lengths)
        values = np.zeros(self._lengths.shape, dtype=np.float32)
        tokens[self._running] = drawn.view(-1, self.lanes).cpu().numpy()
        values[self._running] = logprobs.view(-1, self.lanes).cpu().numpy()
        self._tokens.append(tokens)
        self._logprobs.append(values)
        live = self._live()
        self._lengths += live
        self._ended |= live & np.isin(tokens, self._end_tokens)
        if self._stop is not None:
            self._end_behind_texts(self._stop)

    def _end_behind_texts(self, stop: StopTexts) -> None:
        groups, lanes = np.nonzero(self._live())
        last = np.stack(self._tokens[-stop.reach :], axis=2)[groups, lanes].tolist()
        self._ended[groups, lanes] = stop.reached(last) if last else []

    @property
    def all_finished(self) -> bool:
        return not self._live().any()

    @property
    def share_finished(self) -> float:
        """Share of the running groups in which no lane goes on."""
        return float((~self._live()[self._running].any(1)).mean())

    def remove_finished(self) -> torch.Tensor:
        """Indices, within the running groups, of those that go on."""
        kept = np.flatnonzero(self._live()[self._running].any(1))
        self._running = self._running[kept]
        return torch.from_numpy(kept)

    def completions(self) -> list[list[Completion]]:
        """One list per group, one completion per seed."""
        tokens = np.stack(self._tokens, axis=2).tolist()
        logprobs = np.stack(self._logprobs, axis=2).tolist()
        return [
            [
                Completion(
                    tokens=tuple(tokens[group][lane][: self._lengths[group, lane]]),
                    logprobs=tuple(logprobs[group][lane][: self._lengths[group, lane]]),
                    finished=bool(self._ended[group, lane]),
                )
                for lane in range(len(own))
            ]
            for group, own in enumerate(self._seeds)
        ]

    def _live(self) -> npt.NDArray[np.bool_]:
        live: npt.NDArray[np.bool_] = self._given & ~self._ended
        return live
