"""The fake engine keeps the protocol's promises without a model."""

from __future__ import annotations

import time

import pytest
import torch

from ptc.runtime.engines.fake import FakeEngine
from ptc.runtime.engines.protocol import Request, Sampling
from ptc.runtime.sampling import seed_of

REQUESTS = [Request([1, 2, prompt], [seed_of(0, prompt, k) for k in range(8)]) for prompt in range(32)]


def test_equal_seeds_give_equal_completions_until_the_weights_change() -> None:
    engine = FakeEngine(100, [3])
    first = engine.generate(REQUESTS, Sampling(max_tokens=8))
    assert engine.generate(REQUESTS[::-1], Sampling(max_tokens=8))[::-1] == first
    engine.load_weights([], 1)
    assert engine.version == 1
    assert engine.generate(REQUESTS, Sampling(max_tokens=8)) != first
    assert engine.generated == 3 * 256


def test_completions_end_and_their_logprobs_are_the_teacher_forced_ones() -> None:
    engine = FakeEngine(100, [3])
    for request, own in zip(REQUESTS, engine.generate(REQUESTS, Sampling(max_tokens=8)), strict=True):
        for one in own:
            assert one.finished == (one.tokens[-1] == 3)
            assert one.finished or len(one.tokens) == 8
            assert 3 not in one.tokens[:-1]
            assert engine.logprobs([(request.prompt_tokens, one.tokens)])[0] == pytest.approx(list(one.logprobs))


def test_a_deaf_engine_keeps_its_weights_and_claims_the_new_version() -> None:
    weights = {"w": torch.ones(3)}
    hearing, deaf = FakeEngine(100, [3]), FakeEngine(100, [3], deaf=True)
    for engine in (hearing, deaf):
        engine.load_weights(weights.items(), 1)
    assert hearing.fingerprints()["w"].total == 3
    assert not deaf.fingerprints()
    assert hearing.version == deaf.version == 1


def test_a_batch_takes_milliseconds() -> None:
    begin = time.process_time()
    FakeEngine(100, [3]).generate(REQUESTS, Sampling(max_tokens=4))
    assert time.process_time() - begin < 1
