"""One tensor from several, by a formula over weights. Everything is float64; θ_0 is the base, τ_i = θ_i − θ_0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import acos, ceil, sin

import torch

from ptc.compiler.graph import Json
from ptc.runtime.sampling import seed_of

PARALLEL = 1e-6
"""Sine of an angle below which an arc is a straight line."""


def merge_tensor(
    settings: Mapping[str, Json], name: str, tensors: Sequence[torch.Tensor], base: torch.Tensor | None
) -> torch.Tensor:
    """The merged tensor of that name, by the method that the settings of a `merge` node say."""
    method = settings["method"]
    if method == "linear":
        return linear(tensors, settings["weights"])
    if method == "slerp" and base is None:
        return slerp(tensors[0], tensors[1], settings["t"])
    assert base is not None, "the language asks for a base where differences from it are taken"
    differences = [tensor - base for tensor in tensors]
    if method == "slerp":
        return base + slerp(differences[0], differences[1], settings["t"])
    weights, scale = settings["weights"], float(settings["scale"])
    match method:
        case "task_arithmetic":
            merged = linear(differences, weights)
        case "ties":
            merged = ties(differences, weights, settings["density"])
        case "dare":
            seeds = [seed_of(settings["seed"], "dare", name, number) for number in range(len(tensors))]
            kept = [drop(tau, settings["density"], seed) for tau, seed in zip(differences, seeds, strict=True)]
            merged = linear(kept, weights)
        case _:
            raise ValueError(f"no way to merge is called `{method}`")
    return base + scale * merged


def linear(tensors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Σ w_i θ_i: a soup (Wortsman et al., 2022, arXiv 2203.05482), or of τ_i task arithmetic (Ilharco et al., 2022,
    arXiv 2212.04089)."""
    total = torch.zeros_like(tensors[0])
    for tensor, weight in zip(tensors, weights, strict=True):
        total += weight * tensor
    return total


def slerp(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    """[sin((1 − t)Ω)·a + sin(tΩ)·b] / sin Ω, Ω the angle of a and b (Shoemake, 1985; of weights: Ramé et al., 2024,
    arXiv 2406.16768). Where they have no angle, the straight line."""
    norms = float(a.norm() * b.norm())
    cosine = float((a * b).sum()) / norms if norms else 1.0
    angle = acos(max(-1.0, min(1.0, cosine)))
    if sin(angle) < PARALLEL:
        return (1 - t) * a + t * b
    return (sin((1 - t) * angle) * a + sin(t * angle) * b) / sin(angle)


def ties(differences: Sequence[torch.Tensor], weights: Sequence[float], density: float) -> torch.Tensor:
    """The mean over the entries that agree with the elected sign, of the largest ones of each difference (Yadav et al.,
    2023, arXiv 2306.01708). Sizes are compared within a tensor."""
    trimmed = [weight * largest(tau, density) for tau, weight in zip(differences, weights, strict=True)]
    elected = torch.stack(trimmed).sum(0).sign()
    total, share = torch.zeros_like(elected), torch.zeros_like(elected)
    for tau, weight in zip(trimmed, weights, strict=True):
        agrees = (tau.sign() == elected) & (tau != 0)
        total += torch.where(agrees, tau, 0.0)
        share += abs(weight) * agrees
    return torch.where(share > 0, total / share, 0.0)


def largest(tau: torch.Tensor, density: float) -> torch.Tensor:
    """The tensor with only that share of its entries, the largest by size; 0 at the others."""
    flat = tau.flatten()
    kept = flat.abs().topk(ceil(density * flat.numel())).indices
    return torch.zeros_like(flat).index_copy(0, kept, flat[kept]).view_as(tau)


def drop(tau: torch.Tensor, density: float, seed: int) -> torch.Tensor:
    """Each entry with probability `density`, divided by it, and else 0 (Yu et al., 2023, arXiv 2311.03099)."""
    if density == 0:
        return torch.zeros_like(tau)
    uniform = torch.rand(tau.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.where(uniform < density, tau / density, 0.0)
