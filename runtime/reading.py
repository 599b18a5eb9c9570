"""What a model says at each token of texts that are there already: how sure it is, how far from another, how right.

Every figure is exact over the vocabulary, at temperature 1, in nats, and of a few texts at a time; logits are made and
forgotten in pieces. Legend: N tokens that bear loss, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from ptc.runtime.batches import Sample, Sequences, collate
from ptc.runtime.engines.open import dtype_of
from ptc.runtime.forward import Predictions, answers
from ptc.runtime.intervals import Reals
from ptc.runtime.loading import load_whole
from ptc.runtime.losses.vocabulary import in_pieces, log_softmax
from ptc.runtime.profile import Profile

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Text = tuple[Sequence[int], Sequence[int]]
"""Token ids of a prompt, and of what stands behind it."""
AT_ONCE = 16
"""Texts that a model reads in one pass."""


def opened(folder: Path, profile: Profile) -> PreTrainedModel:
    """A model in the precision of the profile's engine, ready to read."""
    model: torch.nn.Module = load_whole(folder, dtype_of(profile))
    return cast("PreTrainedModel", model.to(profile.device).eval())


def entropies(model: PreTrainedModel, texts: Sequence[Text]) -> list[Reals]:
    """H(π(· | what stands before)) = -Σ_v π_v log π_v at each token of each text."""

    def at(said: list[torch.Tensor], _: torch.Tensor) -> tuple[torch.Tensor, ...]:
        (own,) = said
        return (-(own.exp() * own).sum(-1),)

    return _of_each_token([model], texts, at)[0]


def divergences_of(model: PreTrainedModel, other: PreTrainedModel, texts: Sequence[Text]) -> list[Reals]:
    """KL(model ‖ other) = Σ_v π_v (log π_v - log π'_v) at each token of each text. One vocabulary."""

    def at(said: list[torch.Tensor], _: torch.Tensor) -> tuple[torch.Tensor, ...]:
        own, theirs = said
        return ((own.exp() * (own - theirs)).sum(-1),)

    return _of_each_token([model, other], texts, at)[0]


def forced(model: PreTrainedModel, texts: Sequence[Text]) -> tuple[list[Reals], list[Reals]]:
    """At each token of each text log π(token | what stands before), and whether it is the likeliest: 1 or 0."""

    def at(said: list[torch.Tensor], tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        (own,) = said
        return own.gather(-1, tokens.unsqueeze(-1)).squeeze(-1), (own.argmax(-1) == tokens).float()

    logps, hits = _of_each_token([model], texts, at) if texts else ([], [])
    return logps, hits


Figures = Callable[[list[torch.Tensor], torch.Tensor], tuple[torch.Tensor, ...]]
"""From the log-probabilities (N, V) of each model, and the tokens (N,), some numbers (N,) each."""


def _of_each_token(models: Sequence[PreTrainedModel], texts: Sequence[Text], figures: Figures) -> list[list[Reals]]:
    """By figure and text."""
    parts = [_at_once(models, texts[at : at + AT_ONCE], figures) for at in range(0, len(texts), AT_ONCE)]
    return [[values for part in of_figure for values in part] for of_figure in zip(*parts, strict=True)]


@torch.no_grad()
def _at_once(models: Sequence[PreTrainedModel], texts: Sequence[Text], figures: Figures) -> list[list[Reals]]:
    batch = collate([[Sample({"response": text})] for text in texts]).to(models[0].device)
    sequences = batch.sequences["response"]
    said = [_predictions(model, sequences) for model in models]

    def piece(tokens: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits = (each.head(own) for each, own in zip(said, states, strict=True))
        return figures([log_softmax(one, 1.0) for one in logits], tokens)

    widest = max(each.vocabulary for each in said)
    found = in_pieces(piece, [sequences.tokens, *(each.hidden for each in said)], widest)
    places = np.argsort(batch.prompt.cpu().numpy())
    by_length = [list(_split(torch.cat(values), sequences)) for values in found]
    return [[values[place] for place in places] for values in by_length]


def _predictions(model: PreTrainedModel, sequences: Sequences) -> Predictions:
    (said,) = answers(model, [sequences])
    assert isinstance(said, Predictions), "evidence is asked of language models"
    return said


def _split(values: torch.Tensor, sequences: Sequences) -> Iterator[Reals]:
    for part in torch.split(values, sequences.lengths.tolist()):
        yield part.cpu().numpy().astype(np.float64)
