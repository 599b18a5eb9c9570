"""The values of expressions on one micro-batch, each computed once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from ptc.runtime import running
from ptc.runtime.forward import Answer, Predictions
from ptc.runtime.losses import vocabulary
from ptc.runtime.losses.outside import share
from ptc.runtime.losses.place import Place
from ptc.runtime.losses.reductions import reduced
from ptc.runtime.losses.tree import (
    ONE,
    PROMPT,
    REDUCTIONS,
    RUNNING,
    SAMPLE,
    STEP,
    TOKEN,
    TRANSPORT,
    Asked,
    Expression,
    pointwise,
)
from ptc.runtime.losses.vocabulary import Statistics

Reading = tuple[str, str, str]
"""A model, a source, and the sequences of the source that the model read."""
VOCABULARY = frozenset({"vocab"})


class Evaluation:
    def __init__(
        self, place: Place, constants: Mapping[Expression, torch.Tensor], answers: Mapping[Reading, Answer]
    ) -> None:
        self._place = place
        self._answers = answers
        self._values = dict(constants)
        self.statistics: dict[Reading, Statistics] = {}
        """Of the models that learn."""

    def value(self, node: Expression) -> torch.Tensor:
        if node not in self._values:
            self._values[node] = self._compute(node)
        return self._values[node]

    def _compute(self, node: Expression) -> torch.Tensor:
        if node.op == "constant":
            return torch.tensor(node.value, device=self._place.device)
        if node.course is not None:
            return torch.tensor(node.course.at(self._place.step), device=self._place.device)
        if node.op == "column":
            return self._column(node)
        if node.op == "length":
            sequences = self._place.batches[node.source].sequences[node.column]
            return sequences.lengths.to(torch.get_default_dtype())
        if node.asked is not None:
            return self._kept(node.asked) if node.asked.at else self.said(node)
        if node.op in REDUCTIONS:
            return self._reduction(node)
        if node.op in RUNNING:
            return self._running(node)
        if node.op == TRANSPORT:
            return self._transport(node)
        if node.outside is not None:
            return share(node, self._place, self)
        return pointwise(node.op, [self._lifted(arg, node) for arg in node.args])

    def _lifted(self, arg: Expression, node: Expression) -> torch.Tensor:
        return self._place.lift(self.value(arg), arg, node)

    # What a batch brings ----------------------------------------------------------------------------------------------

    def _column(self, node: Expression) -> torch.Tensor:
        batch = self._place.batches[node.source]
        if node.layout == TOKEN:
            return batch.token_numbers[node.name]
        if node.layout == STEP:
            return batch.step_numbers[node.name]
        column = batch.numbers[node.name]
        if node.layout == SAMPLE:
            return column
        # One number per prompt: that of its samples, which agree.
        return column.new_zeros(batch.prompts).index_put_((batch.prompt,), column)

    def _kept(self, asked: Asked) -> torch.Tensor:
        batch = self._place.batches[asked.source]
        sequences = batch.sequences[asked.reading]
        if not batch.samples:
            return torch.zeros(0, *[1] * (asked.op == "logp_all"), device=self._place.device)
        return (sequences.kept_ends if asked.op == "score" else sequences.kept)[asked.kept_as]

    # What a model says ------------------------------------------------------------------------------------------------

    def said(self, node: Expression) -> torch.Tensor:
        """What a model says, with its weights as they are."""
        assert node.asked is not None
        if node.op not in ("logp", "logp_all"):
            answer = self._answers[self._reading(node)]
            assert isinstance(answer, torch.Tensor), f"a model with a language head is asked for `{node.op}`"
            return answer
        predictions = self.predictions(node)
        if node.op == "logp_all":
            return vocabulary.log_softmax(predictions.head(predictions.hidden), node.asked.temperature)
        tokens = self._place.batches[node.source].sequences[node.column].tokens
        values, statistics = vocabulary.of_tokens(predictions, tokens, node.asked.temperature)
        if statistics is not None:
            self.statistics[self._reading(node)] = statistics
        return values

    # Reductions -------------------------------------------------------------------------------------------------------

    def _reduction(self, node: Expression) -> torch.Tensor:
        arg = node.args[0]
        if node.op == "count" and "vocab" not in arg.axes:  # how many there are, no value says
            return reduced(torch.ones(self._place.size(arg), device=self._place.device), arg, node, self._place)
        if node.over == VOCABULARY and arg.layout == TOKEN and arg not in self._values:
            return self._over_vocabulary(node)
        return reduced(self.value(arg), arg, node, self._place)

    def _over_vocabulary(self, node: Expression) -> torch.Tensor:
        """(N,) a reduction over the vocabulary alone, in pieces of the tokens: what is known is cut, what models are
        asked is asked piece by piece, and nothing of a piece's (n, V) is kept."""
        arg = node.args[0]
        edges = list(dict.fromkeys(self._edges(arg)))
        asked = [edge for edge in edges if self._in_pieces(edge)]
        cut = [edge for edge in edges if edge not in asked and edge.layout != ONE]
        whole = {edge: self.value(edge) for edge in edges if edge.layout == ONE}
        predictions = [self.predictions(edge) for edge in asked]
        learn = [place for place, each in enumerate(predictions) if each.hidden.requires_grad]
        tokens = self._place.batches[node.source].sequences[node.column].tokens

        def piece(own: torch.Tensor, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            known = {**whole, **dict(zip(cut, tensors[len(asked) :], strict=True))}
            for edge, each, states in zip(asked, predictions, tensors[: len(asked)], strict=True):
                assert edge.asked is not None
                known[edge] = vocabulary.log_softmax(each.head(states), edge.asked.temperature)
            sums = (vocabulary.measured(known[asked[place]], own) for place in learn)
            return (reduced(_folded(arg, known), arg, node, self._place), *sums)

        tensors = [tokens, *(each.hidden for each in predictions), *(self._lifted(edge, arg) for edge in cut)]
        widest = max((each.vocabulary for each in predictions), default=1)
        values, *sums = vocabulary.in_pieces(piece, tensors, widest)
        for place, own in zip(learn, sums, strict=True):
            self.statistics[self._reading(asked[place])] = vocabulary.statistics(len(tokens), own)
        return torch.cat(values)

    def _transport(self, node: Expression) -> torch.Tensor:
        """(N,) how far two models are apart at the tokens that both of them meet, in pieces; 0 at the others."""
        count = self._place.size(node)
        edges = [next(self._edges(arg)) for arg in node.args]
        met = [self._place.met(edge.column, node) for edge in edges]
        at = [
            places.new_full((count,), -1).index_put((places,), torch.arange(len(places)).to(places)) for places in met
        ]
        both = ((at[0] >= 0) & (at[1] >= 0)).nonzero().squeeze(1)
        heads = [self.predictions(edge) if self._in_pieces(edge) else None for edge in edges]
        states = [self.value(edge) if head is None else head.hidden for edge, head in zip(edges, heads, strict=True)]
        tokens = self._place.batches[node.source].sequences[node.column].tokens
        learn = [
            place
            for place, (edge, head) in enumerate(zip(edges, heads, strict=True))
            if head is not None and head.hidden.requires_grad and edge.column == node.column
        ]

        def piece(own: torch.Tensor, *rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
            said = [_log_probabilities(*each) for each in zip(edges, heads, rows, strict=True)]
            sides = (_folded(arg, {edge: each}) for arg, edge, each in zip(node.args, edges, said, strict=True))
            return (vocabulary.transport(*sides), *(vocabulary.measured(said[place], own) for place in learn))

        widest = sum(
            each.shape[-1] if head is None else head.vocabulary for each, head in zip(states, heads, strict=True)
        )
        rows = [each[place[both]] for each, place in zip(states, at, strict=True)]
        values, *sums = vocabulary.in_pieces(piece, [tokens[both], *rows], widest)
        for place, own in zip(learn, sums, strict=True):
            self.statistics.setdefault(self._reading(edges[place]), vocabulary.statistics(len(both), own))
        found = torch.cat(values)
        return found.new_zeros(count).index_put((both,), found)

    def _edges(self, node: Expression) -> Iterator[Expression]:
        """Where the walk over the vocabulary ends: at what models are asked, and what can be known before."""
        if "vocab" not in node.axes or node in self._values or node.op in RUNNING or not node.args:
            yield node
        else:
            for arg in node.args:
                yield from self._edges(arg)

    def _in_pieces(self, edge: Expression) -> bool:
        return edge.op == "logp_all" and edge.has_forward and edge not in self._values

    def predictions(self, node: Expression) -> Predictions:
        """What a language model says of the tokens that it was asked about, before its head."""
        answer = self._answers[self._reading(node)]
        assert isinstance(answer, Predictions), f"a model without a language head is asked for `{node.op}`"
        return answer

    def _reading(self, node: Expression) -> Reading:
        assert node.asked is not None
        return node.asked.model, node.asked.source, node.asked.reading

    # Operations on one sample -----------------------------------------------------------------------------------------

    def _running(self, node: Expression) -> torch.Tensor:
        batch = self._place.batches[node.source]
        if node.op == "at_end":
            return self._at_end(node)
        values = [self._lifted(arg, node) for arg in node.args]
        lengths = batch.step_lengths if node.layout == STEP else batch.sequences[node.column].lengths
        match node.op:
            case "suffix_sum":
                return running.suffix_sum(values[0], lengths, node.discount)
            case "suffix_min":
                return running.suffix_min(values[0], lengths)
            case _:
                return running.generalised_advantages(values[0], values[1], lengths, node.discount, node.trace)

    def _at_end(self, node: Expression) -> torch.Tensor:
        """A value per sample, or per prompt, on its samples' last tokens; one per step on the step's last token."""
        [arg] = node.args
        batch = self._place.batches[node.source]
        sequences = batch.sequences[node.column]
        value = self.value(arg)
        if arg.layout == STEP:
            return running.at_step_ends(value, self._place.step_of_tokens(node), batch.step_owner, sequences.lengths)
        return running.at_end(value[batch.prompt] if arg.layout == PROMPT else value, sequences.lengths)


def _log_probabilities(edge: Expression, head: Predictions | None, rows: torch.Tensor) -> torch.Tensor:
    """(n, V) of a piece; without a head they are known."""
    if head is None or edge.asked is None:
        return rows
    return vocabulary.log_softmax(head.head(rows), edge.asked.temperature)


def _folded(node: Expression, known: Mapping[Expression, torch.Tensor]) -> torch.Tensor:
    """The value (n, V) of a piece, from what is known of it: values (n, 1), (n, V), and numbers."""
    if node in known:
        return known[node]
    return pointwise(node.op, [_folded(arg, known) for arg in node.args])
