"""Additive fingerprints of tensors: what a weight hand-over is checked with.

A sum and a sum of squares, in float64, of the values cast to the engine's dtype. Both add up over the parts of a fused
tensor, so that the trainer's `q_proj`, `k_proj` and `v_proj` together have the fingerprint of the engine's `qkv_proj`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ptc.runtime.engines.protocol import Fingerprint

_ROUNDING = 1e-12
"""Relative to the largest value a sum of that many terms can have: float64 sums in another order differ by less."""


def fingerprint(tensor: torch.Tensor, dtype: torch.dtype) -> Fingerprint:
    """The fingerprint of a tensor of any shape, its values cast to `dtype` first."""
    values = tensor.detach().to(dtype).to(torch.float64).flatten()
    return Fingerprint(total=float(values.sum()), squares=float(values.dot(values)), count=values.numel())


def combined(parts: Iterable[Fingerprint]) -> Fingerprint:
    """The fingerprint of tensors taken together."""
    listed = list(parts)
    return Fingerprint(
        total=sum(part.total for part in listed),
        squares=sum(part.squares for part in listed),
        count=sum(part.count for part in listed),
    )


def same(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two fingerprints are of the same values, up to the order of summation."""
    squares = max(one.squares, other.squares)
    return (
        one.count == other.count
        and abs(one.squares - other.squares) <= _ROUNDING * squares
        and abs(one.total - other.total) <= _ROUNDING * (one.count * squares) ** 0.5
    )
