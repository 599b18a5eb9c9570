"""Models in parts (FSDP2): each process holds its part of every parameter, gradient and moment, block by block.

A block is gathered for as long as it computes. So all processes run the same models in the same order: one that has
fewer micro-batches than another runs one more that does not count. Gradients are summed, not averaged. What lies in no
block (embeddings, head, last norm) is gathered from a forward pass until `rest`, because heads are asked outside of it,
piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import torch
from torch import distributed
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, Shard

from ptc.compiler.graph import Json
from ptc.runtime.adapters import AdapterOff, answering
from ptc.runtime.artifacts import ResourceMissing
from ptc.runtime.holding import Span, Whole
from ptc.runtime.ranks import Ranks

T = TypeVar("T")


class Root(torch.nn.Module):
    """Whatever runs a model's blocks runs inside of this module, which fully_shard takes for the outermost."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[[], T]) -> T:
        return function()


class Sharded(Whole):
    """Every process holds a part of each model."""

    in_parts = True

    def __init__(self, ranks: Ranks, device: str) -> None:
        super().__init__(ranks)
        self._mesh: DeviceMesh = init_device_mesh(device, (ranks.count,))
        self._roots: dict[str, Root] = {}
        self._gathered: Root | None = None

    def place(self, name: str, model: torch.nn.Module, device: torch.device) -> None:
        """Raises `ResourceMissing` if what lies on this process is not its part of the whole."""
        there = self._of(model)
        if there is not None:  # two names of one model, or the one that an adapter is over
            self._roots[name] = there
            return
        root = Root(model)
        for block in _blocks(model):
            fully_shard(block, mesh=self._mesh, reshard_after_forward=True)
        fully_shard(root, mesh=self._mesh, reshard_after_forward=False)
        for module in _sharded_modules(root):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo can only sum
            module.set_reduce_scatter_unused_params(True)  # experts that a process had no token for
        self._roots[name] = root
        with torch.no_grad(), answering(model) as plain:
            root(lambda: plain.base_model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=device)))
        self.rest()
        _refuse_whole(name, model, distributed.get_world_size())

    def run(self, model: torch.nn.Module, function: Callable[[], T]) -> T:
        root = self._of(model)
        assert root is not None, "a model that has not been placed"
        found: T = root(function)
        return found

    def in_step(self, spans: Callable[[int], Sequence[Span]]) -> Iterator[tuple[Span, bool]]:
        """As many for each process: who has fewer runs the shortest sample again."""
        shares = [spans(rank) for rank in range(self._ranks.count)]
        own = shares[self._ranks.index]
        for place in range(max(map(len, shares))):
            yield (own[place], True) if place < len(own) else ((0, 1), False)

    def add_up(self, model: torch.nn.Module) -> None:
        """They are: each backward pass has added them up."""

    def over_parts(self, numbers: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self._ranks.total(numbers.tolist()), dtype=numbers.dtype)

    def gather(self, name: str) -> None:
        if self._gathered is not self._roots[name]:
            self.ask("gather", name)
            self.gather_with_others(name)

    def gather_with_others(self, name: str) -> None:
        self.rest()
        root = self._roots[name]
        for module in _sharded_modules(root):
            module.unshard()
            module.set_reshard_after_forward(False, recurse=False)
        self._gathered = root

    def ask(self, deed: str, about: Json = None) -> None:
        self.rest()
        self._ranks.ask({"deed": deed, "about": about})

    def rest(self) -> None:
        for root in self._roots.values():
            cast(FSDPModule, root).reset_iter_state()
        if self._gathered is not None:
            for module in _sharded_modules(self._gathered):
                module.set_reshard_after_forward(not isinstance(module, Root), recurse=False)
            self._gathered = None

    def _of(self, model: torch.nn.Module) -> Root | None:
        wanted = model.adapted if isinstance(model, AdapterOff) else model
        return next((root for root in self._roots.values() if root.model is wanted), None)


def _sharded_modules(root: torch.nn.Module) -> list[FSDPModule]:
    return [module for module in root.modules() if isinstance(module, FSDPModule)]


def _blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The blocks of a transformer, which transformers names as what is never split."""
    with answering(model) as plain:
        names, kind = set(getattr(plain, "_no_split_modules", None) or ()), type(plain).__name__
    blocks = [module for module in model.modules() if type(module).__name__ in names]
    if not blocks:
        raise ResourceMissing(
            f'sharding = "full": transformers names no blocks of {kind}, and it is cut by '
            "them: leave `sharding` out of the profile"
        )
    return blocks


def _refuse_whole(name: str, model: torch.nn.Module, world: int) -> None:
    """Raises `ResourceMissing` unless every parameter lies in parts over all processes."""
    for path, parameter in model.named_parameters():
        parts = parameter.placements if isinstance(parameter, DTensor) else ()
        if parts != (Shard(0),) or cast(DTensor, parameter).device_mesh.size() != world:
            raise ResourceMissing(
                f'the profile asks for models in parts (sharding = "full"), and {path} of {name} does not lie in '
                f"{world} parts after torch was asked to: leave `sharding` out of the profile"
            )
