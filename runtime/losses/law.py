"""Whether the shares of micro-batches that a loss in Python gives add up, as those of any other loss do.

Asked of the function alone: models are run once, without gradient, and what they say is handed to it for some samples
at once, and for the same samples in two parts. A mean over whatever it is given, or anything else that is taken of a
micro-batch and used for its samples, gives another sum, or another gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from ptc.runtime.batches import Batch
from ptc.runtime.forward import Answer, Predictions
from ptc.runtime.losses.asking import Forward, said
from ptc.runtime.losses.evaluation import Evaluation, Reading
from ptc.runtime.losses.place import Place
from ptc.runtime.losses.tree import Expression

if TYPE_CHECKING:
    from ptc.runtime.loss import Prepared

SAMPLES = 8
"""So many are looked at, the shortest: they are together in one forward pass."""


@dataclass(frozen=True)
class Departure:
    """A loss in Python whose shares do not add up."""

    target: str
    source: str
    """The parameter that a part of the batch was handed for."""
    samples: int
    whole: float
    parts: float
    gradient: float
    """How far the gradients are apart, as a share."""

    def __str__(self) -> str:
        if abs(self.whole - self.parts) > 1e-6 * max(1.0, abs(self.whole)):
            apart = f"{self.whole:.5g} for {self.samples} samples at once and {self.parts:.5g} for them in two parts"
        else:
            apart = f"{self.samples} samples at once a gradient that is {self.gradient:.0%} away from that of two parts"
        return (
            f'a batch has one loss and one gradient however it is cut, and "{self.target}" gives {apart}: it uses a '
            "mean, or something else, of the micro-batch that it is handed; return one value per sample, or divide by "
            f"the whole batch with {self.source}.batch_mean(…)"
        )


def departures(prepared: Prepared, forward: Forward, off: float) -> Iterator[Departure]:
    """The losses in Python of which two parts do not give what the whole gives, up to a share `off`."""
    for root in prepared.formula.roots:
        for rows in root.args if root.outside is not None else ():
            count = min(SAMPLES, prepared.batches[rows.source].samples)
            if count > 1:
                yield from _departure(root, rows, count, prepared, forward, off)


def _departure(
    root: Expression, rows: Expression, count: int, prepared: Prepared, forward: Forward, off: float
) -> Iterator[Departure]:
    assert root.outside is not None
    assert rows.rows is not None
    handed = _Handed(root, rows.source, prepared, forward, count)
    value, gradient = handed.given([(0, count)])
    again, other = handed.given([(0, count // 3 or 1), (count // 3 or 1, count)])
    apart = float((gradient - other).norm() / max(float(gradient.norm()), float(other.norm()), 1e-8))
    if abs(value - again) > off * max(abs(value), abs(again)) + 1e-5 or apart > off:
        yield Departure(root.outside.target, rows.rows.name, count, value, again, apart)


class _Handed:
    """The first samples of a source, the others being empty, with what models say of them."""

    def __init__(self, root: Expression, source: str, prepared: Prepared, forward: Forward, count: int) -> None:
        self._root, self._source, self._prepared = root, source, prepared
        self._batches = self._cut(0, count)
        asked = [leaf for leaf in root.leaves if leaf.asked is not None and not leaf.asked.at]
        with torch.no_grad():
            answers = said(asked, self._batches, forward)
        self._answers = {reading: _alone(answer) for reading, answer in answers.items()}

    def given(self, spans: Sequence[tuple[int, int]]) -> tuple[float, torch.Tensor]:
        """The sum of the shares of these samples, and its gradient with respect to what models say."""
        total = torch.stack([self._share(*span) for span in spans]).sum()
        said = [_tensor(answer) for answer in self._answers.values()]
        found = torch.autograd.grad(total, said, allow_unused=True) if total.requires_grad else [None] * len(said)
        flat = [torch.zeros_like(tensor) if own is None else own for tensor, own in zip(said, found, strict=True)]
        return float(total.detach()), torch.cat([each.flatten().float() for each in flat])

    def _share(self, start: int, stop: int) -> torch.Tensor:
        answers = {reading: self._of(reading, answer, start, stop) for reading, answer in self._answers.items()}
        starts = {source: start * (source == self._source) for source in self._batches}
        whole = self._prepared
        place = Place(self._cut(start, stop), whole.totals, whole.step, whole.batches, starts)
        return Evaluation(place, {}, answers).value(self._root)

    def _cut(self, start: int, stop: int) -> Mapping[str, Batch]:
        return {
            source: batch.slice(start, stop) if source == self._source else batch.slice(0, 0)
            for source, batch in self._prepared.batches.items()
        }

    def _of(self, reading: Reading, answer: Answer, start: int, stop: int) -> Answer:
        """What was said of these samples."""
        if reading[1] != self._source:
            return answer
        sequences = self._batches[self._source].sequences[reading[2]]
        by_token = isinstance(answer, Predictions) or len(answer) == len(sequences.tokens)
        bounds = sequences.token_bounds if by_token else sequences.end_bounds
        span = slice(bounds[start], bounds[stop])
        return replace(answer, hidden=answer.hidden[span]) if isinstance(answer, Predictions) else answer[span]


def _tensor(answer: Answer) -> torch.Tensor:
    return answer.hidden if isinstance(answer, Predictions) else answer


def _alone(answer: Answer) -> Answer:
    """What was said, apart from the model that said it."""
    own = _tensor(answer).detach().requires_grad_()
    return replace(answer, hidden=own) if isinstance(answer, Predictions) else own
