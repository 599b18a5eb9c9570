"""Tensors that are whole or lie in parts on several processes (DTensors): by name, made whole, and filled."""

from __future__ import annotations

import torch
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset


def state_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and persistent buffers by name, those themselves, as they lie now.

    `state_dict` says the same, but where a model is sharded it first gives up what has been gathered.
    """
    found: dict[str, torch.Tensor] = {}
    for path, module in model.named_modules():
        kept = [name for name, _ in module.named_buffers(recurse=False) if name in _persistent(module)]
        for name, tensor in (
            *module.named_parameters(recurse=False, remove_duplicate=False),
            *((name, module.get_buffer(name)) for name in kept),
        ):
            found[f"{path}.{name}" if path else name] = tensor
    return found


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself; of parts all of them together, for which every process has to ask at once."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_of(tensor: torch.Tensor) -> torch.Tensor:
    """What this process holds of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def numbers_before(tensor: torch.Tensor) -> int:
    """How many numbers of the whole tensor stand before those that this process holds."""
    if not isinstance(tensor, DTensor):
        return 0
    first = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)[1][0]
    return first * tensor.shape[1:].numel()


def laid_out_like(model: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A whole tensor, which every process has, where the other is, in parts if that one is; a number stays whole."""
    if not isinstance(model, DTensor) or not tensor.dim():
        return tensor.to(model.device)
    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements, src_data_rank=None)


def _persistent(module: torch.nn.Module) -> set[str]:
    return set(module._buffers) - module._non_persistent_buffers_set
