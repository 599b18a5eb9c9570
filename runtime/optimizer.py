"""AdamW (Loshchilov and Hutter, 2019) and RMSprop (Tieleman and Hinton, 2012)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ptc.runtime.learning_rates import OptimizerSettings
from ptc.runtime.tensors import laid_out_like, whole


def optimizer_of(model: torch.nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """An optimizer of the model's parameters. Weight decay spares vectors (norms, biases), as is customary."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.dim() > 1]
    vectors = [parameter for parameter in parameters if parameter.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return _of_groups([group for group in groups if group["params"]], settings)


def _of_groups(groups: list[dict[str, Any]], settings: OptimizerSettings) -> torch.optim.Optimizer:
    if settings.name == "rmsprop":
        return torch.optim.RMSprop(groups, lr=settings.lr, alpha=settings.decay, eps=settings.eps)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def optimizer_tensors(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state as named tensors, ``<parameter>/<exp_avg, step, …>``; none at step 0."""
    return {
        f"{name}/{key}": whole(value).clone()
        for name, state in _states(model, optimizer)
        for key, value in state.items()
    }


def load_optimizer_tensors(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]
) -> None:
    """The inverse of `optimizer_tensors`."""
    named = dict(model.named_parameters())
    optimizer.state.clear()
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        parameter = named[name]
        optimizer.state[parameter][key] = laid_out_like(parameter, value)


def _states(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> Iterator[tuple[str, Mapping[str, torch.Tensor]]]:
    for name, parameter in model.named_parameters():
        if parameter in optimizer.state:
            yield name, optimizer.state[parameter]
