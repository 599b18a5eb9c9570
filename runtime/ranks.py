"""The processes that train together: who of them this is, its share of a batch, and what they tell one another.

Each holds the whole models and takes a share of the samples of the *global* batch. Every reduction of a loss divides by
global counts, so gradients are summed over the processes, never averaged. What one tells the others travels as JSON:
nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import distributed

from ptc.compiler.graph import Json

BUCKET = 1 << 24
"""Numbers that are summed at once."""


@dataclass(frozen=True)
class Ranks:
    """One process among those that train together; the first one reads, samples, saves and reports."""

    index: int = 0
    count: int = 1
    help: Callable[[Mapping[str, Json], Ranks], None] | None = None
    """What another process does, while it waits to be told something, when the first one asks it for help."""

    @property
    def first(self) -> bool:
        return self.index == 0

    @property
    def _device(self) -> torch.device:
        """Where tensors that are sent must be."""
        return torch.device("cuda", self.index) if distributed.get_backend() == "nccl" else torch.device("cpu")

    def share(self, widths: Sequence[int], index: int | None = None) -> tuple[int, int]:
        """From which to before which sample this process, or another, computes: shares of about as many tokens each."""
        done = [0, *accumulate(widths)]
        bounds = [
            min(range(len(done)), key=lambda at: abs(done[at] * self.count - done[-1] * rank))
            for rank in range(self.count + 1)
        ]
        own = self.index if index is None else index
        return bounds[own], bounds[own + 1]

    def total(self, numbers: Sequence[float]) -> list[float]:
        """The sums of each number over all processes."""
        return self._reduced(numbers, distributed.ReduceOp.SUM)

    def greatest(self, numbers: Sequence[float]) -> list[float]:
        """The greatest of each number over all processes."""
        return self._reduced(numbers, distributed.ReduceOp.MAX)

    def _reduced(self, numbers: Sequence[float], by: distributed.ReduceOp.RedOpType) -> list[float]:
        if self.count == 1 or not numbers:
            return list(numbers)
        found = torch.tensor(numbers, dtype=torch.float64, device=self._device)
        distributed.all_reduce(found, by)
        reduced: list[float] = found.tolist()
        return reduced

    def add_up(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Gives each parameter the sum of its gradients over all processes."""
        if self.count == 1:
            return
        for bucket in _buckets([parameter for parameter in parameters if parameter.requires_grad]):
            gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in bucket]
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            distributed.all_reduce(flat)
            parts = torch.split(flat, [gradient.numel() for gradient in gradients])
            for parameter, part in zip(bucket, parts, strict=True):
                parameter.grad = part.view_as(parameter)

    def told(self, document: Json) -> Json:
        """What the first process says; what the others say is not heard. They help it until it does."""
        if self.count == 1 or self.first:
            self._say({"said": document})
            return document
        while "asked" in (heard := self._hear()):
            assert self.help is not None
            self.help(heard["asked"], self)
        return heard["said"]

    def ask(self, document: Json) -> None:
        """The first process asks the others, who wait to be told something, for help."""
        self._say({"asked": document})

    def _say(self, document: Json) -> None:
        if self.count == 1:
            return
        content = json.dumps(document, default=vars).encode()
        distributed.broadcast(torch.tensor([len(content)], device=self._device), 0)
        distributed.broadcast(self._sent(content, len(content)), 0)

    def _hear(self) -> Json:
        length = torch.zeros(1, dtype=torch.long, device=self._device)
        distributed.broadcast(length, 0)
        sent = self._sent(b"", int(length))
        distributed.broadcast(sent, 0)
        return _read(sent)

    def gathered(self, document: Json) -> list[Json]:
        """What each process says, in their order."""
        if self.count == 1:
            return [document]
        content = json.dumps(document, default=vars).encode()
        lengths = [torch.zeros(1, dtype=torch.long, device=self._device) for _ in range(self.count)]
        distributed.all_gather(lengths, torch.tensor([len(content)], device=self._device))
        longest = max(map(int, lengths))
        sent = [self._sent(b"", longest) for _ in range(self.count)]
        distributed.all_gather(sent, self._sent(content, longest))
        return [_read(one[: int(length)]) for one, length in zip(sent, lengths, strict=True)]

    def _sent(self, content: bytes, size: int) -> torch.Tensor:
        """Bytes as a tensor of that size."""
        sent = torch.zeros(size, dtype=torch.uint8, device=self._device)
        if content:
            sent[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        return sent


ALONE = Ranks()


def _read(sent: torch.Tensor) -> Json:
    return json.loads(sent.cpu().numpy().tobytes())


def _buckets(parameters: Sequence[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    bucket, size = list[torch.nn.Parameter](), 0
    for parameter in parameters:
        if bucket and (size + parameter.numel() > BUCKET or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.numel()
    if bucket:
        yield bucket
