"""The first step of a stage, computed a second time in another way before it is taken: what must agree, must agree.

A faulty trainer learns something, only not what the program says: a reference that is not what it was declared to be, a
micro-batch that is dropped, attempts of old weights. None of this shows in a curve. It costs one more step, once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from ptc.compiler.graph import Json, Node
from ptc.runtime.adapters import AdapterOff
from ptc.runtime.artifacts import InvariantBroken
from ptc.runtime.batches import Batch
from ptc.runtime.dropout import drops, training_mode
from ptc.runtime.holding import Whole
from ptc.runtime.identities import Twins, centred
from ptc.runtime.loss import Loss, Prepared
from ptc.runtime.losses.asking import Forward
from ptc.runtime.losses.law import departures
from ptc.runtime.placement import Placement
from ptc.runtime.ranks import Ranks
from ptc.runtime.tensors import numbers_before, part_of

NATS: Mapping[str, float] = {"float32": 1e-3, "bfloat16": 2e-2}
"""What a log-probability, or a loss (of itself, where it is more than 1), may be off by."""
GRADIENT: Mapping[str, float] = {"float32": 1e-2, "bfloat16": 0.2}
"""What a gradient may be off by, of its norm: attention sums in another order when a batch is cut otherwise."""
SMALLEST = 1e-4
"""A gradient that is smaller is none."""
DIRECTIONS = 8
PERIOD = 4093
"""Gradients are compared by their products with so many directions, of signs that recur after so many numbers: a prime,
so that rows, whose gradients may sum to 0, get signs of their own."""


@dataclass
class Rehearsal:
    """Computes the loss and gradient of the first step, and compares them with those of the step itself."""

    node: Node
    models: Mapping[str, torch.nn.Module]
    learners: Mapping[str, torch.nn.Module]
    forward: Forward
    placement: Placement
    ranks: Ranks
    held: Whole
    most_tokens: int
    """Padded tokens in a forward pass of the trainer."""
    _expected: list[float] = field(default_factory=list)
    _products: torch.Tensor | None = None
    _seen: list[tuple[Loss, Mapping[str, Batch]]] = field(default_factory=list)
    _finer: int = 1
    _whole: bool = True
    """Whether all that is learned from has been rehearsed."""

    def rehearse(self, loss: Loss, batches: Mapping[str, Batch]) -> None:
        """Raises `InvariantBroken` for batches on which an identity of this loss does not hold."""
        twins = self._twins()
        terms = [term for term in self.node.settings["terms"] if term["source"] in loss.sources]
        for same in twins.same(terms):
            found = self._largest(same.difference, same.source, batches)
            if not found <= self._nats:
                raise violated(f"{same.said}: they differ by {found:.3g} nats, not by {self._nats:g}: {same.cause}")
        if any(root.outside is not None for root in loss.roots):
            for departure in departures(loss.prepare(batches), self.forward, 0.1 * GRADIENT[self.placement.precision]):
                raise violated(str(departure))
            self.held.rest()
        for value in centred(terms):
            self._hold_centred(value.largest_sum, value.scale, value.source, batches)
        if any(drops(model) for model in self.learners.values()):
            self._whole = False  # what is dropped depends on how the batch is cut
            return
        as_one = Loss(
            [(term["weight"], twins.as_one(term["loss"], term["source"])) for term in terms],
            [term["source"] for term in terms],
            [name for name in self.models if name not in self.learners],
        )
        rehearsed = as_one if set(as_one.sources) == set(loss.sources) and _cuts(as_one) >= _cuts(loss) else loss
        expected, products = self._computed(rehearsed, batches)
        self._seen.append((loss, batches))
        self._expected.append(expected)
        self._products = products if self._products is None else self._products + products

    def verify(self, total: float) -> None:
        """Raises `InvariantBroken` if the step's loss, or the gradients that it has left, are not those rehearsed.

        What is not finite is for the trainer to refuse.
        """
        if not self._whole or self._products is None or not math.isfinite(total):
            return
        [expected, *products] = self.ranks.total([sum(self._expected), *self._products.tolist()])
        if not abs(total - expected) <= self._nats * max(1.0, abs(expected)):
            raise violated(
                f"the loss of the first batch is {expected:.5g}, however it is cut, with the learner in the place of "
                f"what equals it; the step found {total:.5g}: a part of the batch was left out or counted twice"
            )
        wanted, found = torch.tensor(products, dtype=torch.float64), self.held.over_parts(self._fingerprint())
        if found.isfinite().all() and not self._agree(found, wanted) and self._agree(self._once_more(), wanted):
            away = float((found - wanted).norm()) / max(float(wanted.norm()), SMALLEST)
            raise violated(
                f"the gradient of the first batch is the same however it is cut: computed twice, the two differ by "
                f"{away:.1%}: a part of the batch was left out or counted twice"
            )

    def _agree(self, one: torch.Tensor, other: torch.Tensor) -> bool:
        return float((one - other).norm()) <= GRADIENT[self.placement.precision] * float(other.norm()) + SMALLEST

    def _once_more(self) -> torch.Tensor:
        """In finer parts, every model itself: where a loss has a kink at its start, no two of these need agree."""
        self._finer = 3
        products = sum(self._computed(loss, batches)[1] for loss, batches in self._seen)
        assert isinstance(products, torch.Tensor)
        return torch.tensor(self.ranks.total(products.tolist()), dtype=torch.float64)

    def _computed(self, loss: Loss, batches: Mapping[str, Batch]) -> tuple[float, torch.Tensor]:
        """This process's share of a loss, and the products of its gradient, of which nothing is left."""
        with self._without_gradients():
            prepared = loss.prepare(batches, 0, self.forward, self._cut)
            self.held.rest()
            share = self._accumulated(loss, prepared)
            return share, self._fingerprint()

    def _twins(self) -> Twins:
        """As the first process, which alone knows what the stage was given, sees them."""
        fresh = {
            name: learner
            for name, model in self.models.items()
            for learner, learned in self.learners.items()
            if isinstance(model, AdapterOff) and model.says_what(learned)
        }
        node = replace(self.node, inputs=self.ranks.told(dict(self.node.inputs)))
        return Twins(node, self.placement.engine_is_exact, fresh)

    @property
    def _nats(self) -> float:
        return NATS[self.placement.precision]

    def _hold_centred(self, document: Json, scale: Json, source: str, batches: Mapping[str, Batch]) -> None:
        found, size = (_value(one, source, batches) for one in (document, scale))
        if not found <= self._nats * max(1.0, size):
            raise violated(
                f"values less their mean sum to 0 over what the mean is of: advantages of a group sum to {found:.3g}: "
                "the mean was taken of other values than it is subtracted from"
            )

    def _largest(self, document: Json, source: str, batches: Mapping[str, Batch]) -> float:
        """The largest value over this batch."""
        loss = Loss([(1.0, document)], [source])
        prepared = loss.prepare({source: batches[source]})
        found = [0.0] * self.ranks.count
        with torch.no_grad():
            for (start, stop), _ in self.held.in_step(partial(self._share, batches[source].widths)):
                value = float(loss.part(prepared, start, stop, self.forward, source).loss)
                found[self.ranks.index] = value if not value <= found[self.ranks.index] else found[self.ranks.index]
                self.held.rest()
        return max(self.ranks.total(found), key=lambda value: (value != value, value))

    def _accumulated(self, loss: Loss, prepared: Prepared) -> float:
        """Leaves the gradient of this process's share, and returns its share of the loss."""
        total, parts = 0.0, 0
        with training_mode([*self.learners.values()] if self.placement.gradient_checkpointing else [], 0):
            for part, counts in self._parts(loss, prepared):
                if part.requires_grad:
                    (part if counts else 0 * part).backward()  # type: ignore[no-untyped-call]
                self.held.rest()
                total, parts = total + counts * float(part.detach()), parts + counts
        once = 1 if self.ranks.first else 0
        return total if parts == once else total - (parts - once) * loss.constant_part(prepared)

    def _parts(self, loss: Loss, prepared: Prepared) -> Iterator[tuple[torch.Tensor, bool]]:
        """Those of the trainer, cut otherwise."""
        if prepared.splits:
            for source, batch in prepared.batches.items():
                for (start, stop), counts in self.held.in_step(partial(self._share, batch.widths)):
                    yield loss.part(prepared, start, stop, self.forward, source).loss, counts
        elif self.ranks.first or self.held.in_parts:
            yield loss.whole(prepared, self.forward).loss, self.ranks.first

    def _share(self, widths: Sequence[int], rank: int) -> list[tuple[int, int]]:
        """A process's samples, as many as any other's."""
        first, stop = (len(widths) * each // self.ranks.count for each in (rank, rank + 1))
        return self._cut(widths[:stop], first)

    def _cut(self, widths: Sequence[int], first: int = 0) -> list[tuple[int, int]]:
        """Micro-batches of half the size that the trainer's have, made from the end on."""
        parts, stop = list[tuple[int, int]](), len(widths)
        most = max(1, min(self.placement.micro_batch or stop, stop - first) // (2 * self._finer))
        while stop > first:
            width = max(1, widths[stop - 1])
            start = max(first, stop - max(1, min(most, self.most_tokens // 2 // width)))
            parts.append((start, stop))
            stop = start
        return parts[::-1]

    def _fingerprint(self) -> torch.Tensor:
        """The products of all gradients, tensor by tensor, with fixed directions."""
        generator = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, (PERIOD, DIRECTIONS), generator=generator, dtype=torch.float64) * 2 - 1
        products = []
        for model in self.learners.values():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    products.append(_products(parameter.grad, signs))
        return torch.cat(products)

    def _without_gradients(self) -> _Aside:
        return _Aside([one for model in self.learners.values() for one in model.parameters()])


class _Aside:
    """Inside the block the parameters have no gradients; behind it those that they had."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        self._parameters = parameters

    def __enter__(self) -> None:
        self._kept = [parameter.grad for parameter in self._parameters]
        self._give([None] * len(self._kept))

    def __exit__(self, *raised: object) -> None:
        self._give(self._kept)

    def _give(self, gradients: Sequence[torch.Tensor | None]) -> None:
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient


def _cuts(loss: Loss) -> bool:
    """Whether a loss can be taken in micro-batches."""
    return loss.splits or loss.splits_in_two_passes


def violated(what: str) -> InvariantBroken:
    return InvariantBroken(f"identity-violated: {what}; weights untouched")


def _value(document: Json, source: str, batches: Mapping[str, Batch]) -> float:
    """What a document without a model is worth."""
    loss = Loss([(1.0, document)], [source])
    prepared = loss.prepare({source: batches[source]})
    return loss.constant_part(prepared)


def _products(gradient: torch.Tensor | None, signs: torch.Tensor) -> torch.Tensor:
    """Of what this process holds of a gradient."""
    if gradient is None:
        return torch.zeros(DIRECTIONS, dtype=torch.float64)
    flat, before = part_of(gradient.detach()).flatten(), numbers_before(gradient) % PERIOD
    padded = torch.nn.functional.pad(flat, (before, -(before + len(flat)) % PERIOD)).view(-1, PERIOD).sum(0)
    return padded.double().cpu() @ signs
