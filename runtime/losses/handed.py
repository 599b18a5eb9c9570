"""What a loss in Python is handed: a micro-batch of each source, and what models say of its texts.

All of it is packed: the values of all samples stand one behind the other, without padding. Legend: S samples of the
micro-batch, T steps, N tokens of a text that bear loss, V vocabulary. Sums are of what is handed; what is called
`batch_mean` divides by the counts of the whole batch, so that the shares of micro-batches add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch

from ptc.runtime.forward import Predictions
from ptc.runtime.losses.place import Place
from ptc.runtime.losses.tree import SAMPLE, Asked, Expression
from ptc.runtime.losses.vocabulary import in_pieces, log_softmax, of_tokens


class Values(Protocol):
    """What is known of a micro-batch, node by node."""

    def value(self, node: Expression) -> torch.Tensor: ...

    def predictions(self, node: Expression) -> Predictions: ...


class Within:
    """Values that lie in samples: the tokens of a text, or the steps of responses."""

    def __init__(self, name: str, what: str, sample: torch.Tensor, lengths: torch.Tensor, total: int) -> None:
        self.name = name
        self.sample = sample
        """(N,) the sample of each, from 0 to S - 1."""
        self.lengths = lengths
        """(S,) how many each sample has, 0 allowed."""
        self.total = total
        """How many there are in the whole batch."""
        self._what = what

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """(S,) the sum of the values (N,) of each sample."""
        self._fit(values, len(self.sample), self._what)
        return values.new_zeros(len(self.lengths)).index_add(0, self.sample, values)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """(S,) their mean; 0 for a sample that has none."""
        return self.sum(values) / self.lengths.clamp(min=1)

    def each(self, values: torch.Tensor) -> torch.Tensor:
        """(N,) the values (S,) of samples, for each of theirs."""
        self._fit(values, len(self.lengths), "samples")
        return values[self.sample]

    def batch_mean(self, values: torch.Tensor) -> torch.Tensor:
        """(): the share of these values (N,) in their mean over the whole batch."""
        self._fit(values, len(self.sample), self._what)
        return values.sum() / max(self.total, 1)

    def _fit(self, values: torch.Tensor, count: int, what: str) -> None:
        if tuple(values.shape) != (count,):
            raise ValueError(f"`{self.name}` wants one value for each of {count} {what}, not {tuple(values.shape)}")


class Text(Within):
    """A text of each sample: its tokens that bear loss."""

    def __init__(self, key: tuple[str, str], place: Place, source: str) -> None:
        rows, column = key
        sequences = place.batches[source].sequences[column]
        total = place.totals[source].tokens[column]
        super().__init__(f"{rows}.{column}", "tokens", sequences.owner, sequences.lengths, total)
        self.key = key
        self.ids = sequences.tokens
        """(N,) token ids."""


class Whole:
    """The numbers of the whole batch, of which a micro-batch is a part."""

    def __init__(self, numbers: Mapping[str, torch.Tensor], prompt: torch.Tensor) -> None:
        self.prompt = prompt
        """The number of the prompt of each sample."""
        self.__dict__.update(numbers)


class Source:
    """A micro-batch of a source: the columns that the head names are its attributes."""

    def __init__(self, node: Expression, place: Place, values: Values) -> None:
        assert node.rows is not None
        rows, batch, totals = node.rows, place.batches[node.source], place.totals[node.source]
        whole, start = place.wholes[node.source], place.starts[node.source]
        self._name, self._batch, self._whole = rows.name, batch, whole
        self.samples = batch.samples
        """S"""
        self.prompt = batch.prompt
        """(S,) the number of each sample's prompt in the whole batch: attempts at one prompt have one number."""
        self.place = torch.arange(start, start + batch.samples, device=batch.prompt.device)
        """(S,) where each sample stands in the whole batch."""
        self.total_samples, self.total_prompts = totals.samples, totals.prompts
        leaves = dict(zip(rows.numbers, node.args, strict=False))
        of_samples = {name: whole.numbers[name] for name, leaf in leaves.items() if leaf.layout == SAMPLE}
        self.whole = Whole(of_samples, whole.prompt)
        """The numbers per sample of the whole batch, and the number of each sample's prompt."""
        self.step = Within(f"{rows.name}.step", "steps", batch.step_owner, batch.step_lengths, totals.steps)
        """The steps of responses."""
        self.__dict__.update({name: values.value(leaf) for name, leaf in leaves.items()})
        self.__dict__.update({text: Text((rows.name, text), place, node.source) for text in rows.texts})

    def batch_mean(self, values: torch.Tensor) -> torch.Tensor:
        """(): the share of these values (S,) in their mean over the samples of the whole batch."""
        count = self._batch.samples
        if tuple(values.shape) != (count,):
            raise ValueError(f"`{self._name}` wants one value for each of {count} samples, not {tuple(values.shape)}")
        return values.sum() / max(self._whole.samples, 1)

    def group_mean(self, column: str) -> torch.Tensor:
        """(S,) the mean of a column over all attempts at each sample's prompt, in whatever micro-batch they are."""
        return self._mean_by_prompt(self._of_samples(column))[self._batch.prompt]

    def group_std(self, column: str) -> torch.Tensor:
        """(S,) their standard deviation, with n - 1 in the denominator; 0 for a single attempt."""
        values, prompt = self._of_samples(column), self._whole.prompt
        squares = (values - self._mean_by_prompt(values)[prompt]) ** 2
        variance = self._by_prompt(squares) / (self._by_prompt(torch.ones_like(values)) - 1).clamp(min=1)
        return variance.sqrt()[self._batch.prompt]

    def _of_samples(self, column: str) -> torch.Tensor:
        if column not in self._whole.numbers:
            raise ValueError(f"`{self._name}` has no number per sample that is called `{column}`")
        return self._whole.numbers[column]

    def _mean_by_prompt(self, values: torch.Tensor) -> torch.Tensor:
        return self._by_prompt(values) / self._by_prompt(torch.ones_like(values)).clamp(min=1)

    def _by_prompt(self, values: torch.Tensor) -> torch.Tensor:
        return values.new_zeros(self._whole.prompts).index_add(0, self._whole.prompt, values)

    def __getattr__(self, name: str) -> torch.Tensor:
        if name.startswith("_"):
            raise AttributeError(name)
        there = ", ".join(known for known in reversed(vars(self)) if not known.startswith("_"))
        raise AttributeError(f"`{self._name}` has no `{name}`, which its head does not ask for: it has {there}")


class Model:
    """A model of the stage, as it is now. A model that does not learn is asked without gradient."""

    def __init__(self, name: str, leaves: Mapping[tuple[str, str], Expression], values: Values) -> None:
        self._name = name
        self._leaves = leaves
        self._values = values

    def logp(self, text: Text, temperature: float | None = None) -> torch.Tensor:
        """(N,) the log-probability of each token; at the sampler's temperature where the head asks for `logprobs`
        beside the text, else at 1."""
        leaf = self._leaf(text, "logp")
        if temperature is None or temperature == _asked(leaf).temperature:
            return self._values.value(leaf)
        with _without_gradient(leaf.op == "stop"):
            return of_tokens(self._predictions(leaf), text.ids, temperature)[0]

    def logp_all(self, text: Text, temperature: float | None = None) -> torch.Tensor:
        """(N, V) the log-probabilities of the whole vocabulary at each token: all of them at once in memory."""
        leaf = self._leaf(text, "logp")
        with _without_gradient(leaf.op == "stop"):
            predictions = self._predictions(leaf)
            return log_softmax(predictions.head(predictions.hidden), temperature or _asked(leaf).temperature)

    def entropy(self, text: Text, temperature: float | None = None) -> torch.Tensor:
        """(N,) of the distribution from which each token is drawn, in nats."""
        leaf = self._leaf(text, "logp")

        def piece(states: torch.Tensor) -> tuple[torch.Tensor]:
            own = log_softmax(predictions.head(states), temperature or _asked(leaf).temperature)
            return (-(own.exp() * own).sum(-1),)

        with _without_gradient(leaf.op == "stop"):
            predictions = self._predictions(leaf)
            [pieces] = in_pieces(piece, [predictions.hidden], predictions.vocabulary)
            return torch.cat(pieces)

    def value(self, text: Text) -> torch.Tensor:
        """(N,) what a value head says at each token."""
        return self._values.value(self._leaf(text, "value"))

    def score(self, text: Text) -> torch.Tensor:
        """(S,) what a reward head says of each text, or (T,) of each step of `steps`."""
        return self._values.value(self._leaf(text, "score"))

    def _leaf(self, text: Text, op: str) -> Expression:
        if not isinstance(text, Text):
            raise TypeError(f"`{self._name}.{op}` takes a text, such as rows.response, not {type(text).__name__}")
        leaf = self._leaves[text.key]
        own = _asked(leaf).op
        if own != op:
            raise ValueError(f"`{self._name}` has another head: it can be asked for `{own}`, not for `{op}`")
        return leaf

    def _predictions(self, leaf: Expression) -> Predictions:
        if _asked(leaf).at:
            raise ValueError(f"with `precompute` no more is known of `{self._name}` than `logp`: leave it out")
        return self._values.predictions(leaf.args[0] if leaf.op == "stop" else leaf)


def _without_gradient(stopped: bool) -> AbstractContextManager[object]:
    """For a model that says the same as another, and stands in its place."""
    return torch.no_grad() if stopped else nullcontext()


def _asked(leaf: Expression) -> Asked:
    """What is asked, also where another model that says the same is, without gradient."""
    asked = leaf.asked or leaf.args[0].asked
    assert asked is not None
    return asked


def models_of(node: Expression, values: Values) -> dict[str, Model]:
    """The models that a loss is handed, by parameter."""
    assert node.outside is not None
    roles = node.outside.roles
    leaves: dict[str, dict[tuple[str, str], Expression]] = {role: {} for role in roles}
    for source in node.args:
        assert source.rows is not None
        asked = [(role, text) for text in source.rows.texts for role in roles]
        for (role, text), leaf in zip(asked, source.args[len(source.rows.numbers) :], strict=True):
            leaves[role][source.rows.name, text] = leaf
    return {role: Model(role, own, values) for role, own in leaves.items()}
