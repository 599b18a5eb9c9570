"""A policy over short responses, written out: the probability of each next token behind each prompt and beginning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Response = tuple[int, ...]
State = tuple[str, Response]
"""A prompt, and what has been said of the response."""


@dataclass(frozen=True, eq=False)
class Policy:
    """Log-probabilities of the next token, (vocabulary,), in every state that a response can pass through."""

    log: Mapping[State, Floats]
    end: int
    length: int
    """The most tokens in a response; one that long may lack its end."""

    @cached_property
    def prompts(self) -> list[str]:
        return list(dict.fromkeys(prompt for prompt, _ in self.log))

    @cached_property
    def responses(self) -> list[Response]:
        """All there are."""
        return responses(len(next(iter(self.log.values()))), self.end, self.length)

    def conditional(self, prompt: str, said: Response = ()) -> Floats:
        return np.exp(self.log[prompt, said])

    def logp(self, prompt: str, response: Response) -> float:
        return float(sum(self.log[prompt, response[:place]][token] for place, token in enumerate(response)))

    def whole(self, prompt: str) -> Floats:
        """The probability of each response."""
        return np.exp([self.logp(prompt, response) for response in self.responses])

    def expected(self, prompt: str, value: Callable[[Response], float]) -> float:
        return float(self.whole(prompt) @ [value(response) for response in self.responses])


def responses(vocabulary: int, end: int, length: int) -> list[Response]:
    """All responses of at most so many tokens: ended, or cut off."""
    said = [beginning for size in range(length) for beginning in beginnings(vocabulary, end, size)]
    return [*((*one, end) for one in said), *beginnings(vocabulary, end, length)]


def beginnings(vocabulary: int, end: int, length: int) -> list[Response]:
    """All beginnings of so many tokens that go on."""
    return list(product([token for token in range(vocabulary) if token != end], repeat=length))


def states(prompts: Sequence[str], vocabulary: int, end: int, length: int) -> list[State]:
    return [
        (prompt, said) for prompt in prompts for size in range(length) for said in beginnings(vocabulary, end, size)
    ]


def of_responses(whole: Mapping[str, Floats], like: Policy) -> Policy:
    """The policy with these probabilities of whole responses."""
    log = {}
    for prompt, said in like.log:
        mass = np.full(len(like.log[prompt, said]), 1e-300)
        for response, probability in zip(like.responses, whole[prompt], strict=True):
            if response[: len(said)] == said and len(response) > len(said):
                mass[response[len(said)]] += probability
        log[prompt, said] = np.log(mass / mass.sum())
    return Policy(log, like.end, like.length)


def divergence(first: Policy, second: Policy) -> float:
    """KL(first || second) of whole responses, in nats, the mean over prompts."""
    found = []
    for prompt in first.prompts:
        own = first.whole(prompt)
        away = [first.logp(prompt, response) - second.logp(prompt, response) for response in first.responses]
        found.append(float(own @ away))
    return float(np.mean(found))


def kl(first: Floats, second: Floats) -> float:
    """KL between two distributions; where the first has nothing there is nothing to pay."""
    some = first > 0
    return float(np.sum(first[some] * (np.log(first[some]) - np.log(second[some]))))
