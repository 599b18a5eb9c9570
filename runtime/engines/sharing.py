"""Sampling by all training processes: the first one asks, each makes the attempts at some of the prompts.

An attempt depends on the weights, its prompt and its seed, and on nothing else but rounding, so who makes it changes
nothing. Only the embedded engine, which samples from the trainer's own module, is shared: every process has that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from ptc.compiler.graph import Json
from ptc.runtime.engines.protocol import Completion, Engine, Fingerprint, Request, Sampling
from ptc.runtime.profile import Profile
from ptc.runtime.ranks import Ranks


@dataclass(frozen=True)
class Around:
    """An engine around another."""

    own: Engine

    @property
    def version(self) -> int:
        return self.own.version

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        self.own.load_weights(weights, version)

    def fingerprints(self) -> Mapping[str, Fingerprint]:
        return self.own.fingerprints()

    def close(self) -> None:
        self.own.close()


@dataclass(frozen=True)
class GatheredEngine(Around):
    """One over a module that lies in parts, and is gathered whenever it is asked something."""

    gather: Callable[[], None]

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`."""
        self.gather()
        return self.own.generate(requests, sampling)

    def logprobs(self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """See `Engine.logprobs`."""
        self.gather()
        return self.own.logprobs(sequences)


@dataclass(frozen=True)
class SharedEngine(Around):
    """The first process's engine, that is helped by the others'."""

    model: str
    ranks: Ranks
    gather: Callable[[], None] = lambda: None
    """What has to be done before all use their modules at once."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`."""
        self.gather()
        self.ranks.ask({"model": self.model, "version": self.version, "requests": list(requests), "sampling": sampling})
        mine = self.own.generate(_share(requests, self.ranks), sampling)
        shares = self.ranks.gathered(None)
        made = [iter(mine), *(iter(_completions(share)) for share in shares[1:])]
        return [next(made[place % self.ranks.count]) for place in range(len(requests))]

    def logprobs(self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        return self.own.logprobs(sequences)


@dataclass(frozen=True)
class Helper:
    """What another process does when the first one asks for attempts."""

    engine: Callable[[str, int], Engine]
    """The engine of a model with the weights behind so many updates."""

    def __call__(self, asked: Mapping[str, Json], ranks: Ranks) -> None:
        requests = [Request(**request) for request in asked["requests"]]
        engine = self.engine(asked["model"], asked["version"])
        sampling = Sampling(**{**asked["sampling"], "stop": tuple(asked["sampling"]["stop"])})
        ranks.gathered(engine.generate(_share(requests, ranks), sampling))


def can_share(profile: Profile) -> bool:
    """Whether every process has an engine: the trainer's own module."""
    return profile.engine == "transformers" and not profile.engine_copy


def _share(requests: Sequence[Request], ranks: Ranks) -> Sequence[Request]:
    return requests[ranks.index :: ranks.count]


def _completions(share: Json) -> list[list[Completion]]:
    return [
        [Completion(tuple(one["tokens"]), tuple(one["logprobs"]), one["finished"]) for one in attempts]
        for attempts in share
    ]
