"""Attempts that several processes make are those that one makes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from small_chat import small_model

from ptc.runtime.engines.protocol import Engine, Request, Sampling
from ptc.runtime.engines.sharing import Helper, SharedEngine
from ptc.runtime.engines.transformers import TransformersEngine
from ptc.runtime.ranks import Ranks


@dataclass(frozen=True)
class Talking(Ranks):
    """The first of three processes, whose others are called in turn, over JSON."""

    asked: list[Any] = field(default_factory=list)
    engine: Any = None

    def ask(self, document: Any) -> None:
        self.asked.append(json.loads(json.dumps(document, default=vars)))

    def gathered(self, document: Any) -> list[Any]:
        shares = [document]
        for index in range(1, self.count):
            heard: list[Any] = []
            Helper(self.engine)(self.asked[-1], Saying(index, self.count, heard=heard))
            shares.append(json.loads(json.dumps(heard[0], default=vars)))
        return shares


@dataclass(frozen=True)
class Saying(Ranks):
    heard: list[Any] = field(default_factory=list)

    def gathered(self, document: Any) -> list[Any]:
        self.heard.append(document)
        return []


def test_they_come_back_in_the_order_of_the_prompts() -> None:
    engine = TransformersEngine(small_model(), [3], shared=True, version=7)
    requests = [Request([5 + place, 9, 2], [11 * place, 11 * place + 1]) for place in range(8)]
    sampling = Sampling(max_tokens=5, temperature=0.9)
    versions: list[tuple[str, int]] = []

    def of(model: str, version: int) -> Engine:
        versions.append((model, version))
        return engine

    ranks = Talking(0, 3, engine=of)
    shared = SharedEngine(engine, "m0", ranks).generate(requests, sampling)
    alone = engine.generate(requests, sampling)
    assert [[one.tokens for one in attempts] for attempts in shared] == [
        [one.tokens for one in attempts] for attempts in alone
    ]
    assert [len(own["requests"]) for own in ranks.asked] == [8]
    assert versions == [("m0", 7), ("m0", 7)]


def test_fewer_prompts_than_processes() -> None:
    engine = TransformersEngine(small_model(), [3], shared=True)
    ranks = Talking(0, 3, engine=lambda model, version: engine)
    [attempts] = SharedEngine(engine, "m0", ranks).generate([Request([5, 9], [1, 2])], Sampling(max_tokens=3))
    assert attempts == engine.generate([Request([5, 9], [1, 2])], Sampling(max_tokens=3))[0]
