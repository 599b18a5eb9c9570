"""Sampling: seeds, streams, supports, and that draws follow the distribution they are drawn from."""

from __future__ import annotations

import numpy as np
import torch

from ptc.runtime.engines.protocol import Sampling
from ptc.runtime.sampling import Uniforms, distribution, draw, philox, seed_of


def test_seeds_depend_on_every_part_and_on_its_type() -> None:
    seeds = {
        seed_of(1),
        seed_of(2),
        seed_of(1, 2),
        seed_of(12),
        seed_of(1, "2"),
        seed_of(1, 2, 3),
        seed_of(1, 23),
        seed_of(1, "a", "b"),
        seed_of(1, "ab"),
        seed_of(1, 'a","b'),
    }
    assert len(seeds) == 10
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(42, "sample", 3, 0) == 8301099161878668195


def test_a_stream_does_not_know_its_neighbours() -> None:
    together = Uniforms([5, 6, 7])
    alone = Uniforms([6])
    for position in (0, 1, 63, 64, 200):
        assert together.at(position)[1] == alone.at(position)[0]
        assert together.at(position, np.array([1])) == alone.at(position)
    assert together.at(3)[0] != together.at(3)[2]


def test_philox_gives_the_published_vectors() -> None:
    """Known answers of Random123, for counter and key of zeros. (Only 64 of the counter's 128 bits are used here.)"""
    words = philox(np.array([0], dtype=np.uint64), np.array([0], dtype=np.uint64))
    assert [f"{int(word):08x}" for word in words[:, 0]] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


def test_uniforms_are_uniform_and_all_different() -> None:
    uniforms = torch.stack([Uniforms([seed_of(0, row) for row in range(500)], 40).at(step) for step in range(40)])
    assert len(uniforms.unique()) == 20_000
    assert 0 <= float(uniforms.min()) < float(uniforms.max()) < 1
    histogram = torch.histc(uniforms.float(), bins=20, min=0, max=1)
    assert ((histogram - 1000).abs() < 5 * 1000**0.5).all()
    shifted = torch.corrcoef(torch.stack([uniforms[:-1].flatten(), uniforms[1:].flatten()]))[0, 1]
    assert abs(float(shifted)) < 0.03


def test_draws_follow_the_distribution() -> None:
    probabilities = torch.tensor([0.5, 0.25, 0.0, 0.2, 0.05])
    count = 20_000
    uniforms = Uniforms([seed_of(0, row) for row in range(count)]).at(0)
    tokens = draw(probabilities.log().expand(count, -1), uniforms)
    shares = torch.bincount(tokens, minlength=5) / count
    assert shares[2] == 0
    spread = (probabilities * (1 - probabilities) / count).sqrt()
    assert ((shares - probabilities).abs() <= 4 * spread).all()


def test_the_ends_of_the_unit_interval_stay_inside_the_support() -> None:
    logprobs = torch.tensor([[0.0, 0.5, 0.5, 0.0]]).log()
    assert draw(logprobs, torch.tensor([0.0], dtype=torch.float64)) == 1
    assert draw(logprobs, torch.tensor([1 - 2**-53], dtype=torch.float64)) == 2


def test_temperature_zero_is_the_argmax_with_certainty() -> None:
    logprobs = distribution(torch.tensor([[1.0, 3.0, 2.0]]), Sampling(temperature=0))
    assert logprobs.tolist() == [[-torch.inf, 0.0, -torch.inf]]


def test_temperature_top_k_and_top_p() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    assert torch.allclose(distribution(logits, Sampling()), logits)
    halved = distribution(logits, Sampling(temperature=0.5)).exp()
    assert torch.allclose(halved, torch.tensor([[16.0, 9.0, 4.0, 1.0]]) / 30)
    two = distribution(logits, Sampling(top_k=2)).exp()
    assert torch.allclose(two, torch.tensor([[4.0, 3.0, 0.0, 0.0]]) / 7)
    assert torch.allclose(distribution(logits, Sampling(top_p=0.8)).exp(), torch.tensor([[4.0, 3.0, 2.0, 0.0]]) / 9)
    assert torch.allclose(distribution(logits, Sampling(top_p=0.3)).exp(), torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    assert torch.allclose(
        distribution(logits, Sampling(top_k=3, top_p=0.7)).exp(), torch.tensor([[4.0, 3.0, 0, 0]]) / 7
    )


def test_min_p_leaves_out_what_is_less_likely_than_a_share_of_the_likeliest() -> None:
    """Against transformers, which filters the same tokens; log-probabilities are those of what is left."""
    from transformers import MinPLogitsWarper

    logits = torch.randn(16, 50, generator=torch.Generator().manual_seed(0)) * 2
    ours = distribution(logits, Sampling(min_p=0.2, temperature=0.7))
    theirs = MinPLogitsWarper(0.2)(None, logits / 0.7).log_softmax(1)
    assert torch.equal(ours.isinf(), theirs.isinf()) and ours.isinf().any(1).all()
    torch.testing.assert_close(ours, theirs)


def test_the_penalty_falls_on_what_was_seen_whatever_its_sign() -> None:
    logits = torch.tensor([[2.0, -2.0, 1.0]])
    seen = torch.tensor([[True, True, False]])
    ours = distribution(logits, Sampling(repetition_penalty=2.0), seen)
    torch.testing.assert_close(ours, torch.tensor([[1.0, -4.0, 1.0]]).log_softmax(1))
