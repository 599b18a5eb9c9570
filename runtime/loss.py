"""A loss: an expression over named axes (`docs/graph.md`, "Expressions"), evaluated on batches of token ids.

It knows no objective by name. Values without a model in them (rewards, advantages) are computed once, on the global
batch; the rest is computed per micro-batch, each reduction dividing by the *global* count, so that the gradients of
micro-batches add up to the gradient of the batch, however it was cut. The tree and what it is worth are in
`runtime.losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ptc.compiler.graph import Json
from ptc.runtime.batches import Batch, Sample, Sequences, reading
from ptc.runtime.forward import Answer
from ptc.runtime.losses.asking import Cut, Forward, keeping, said, with_kept
from ptc.runtime.losses.evaluation import Evaluation
from ptc.runtime.losses.formula import Formula
from ptc.runtime.losses.needs import Needs
from ptc.runtime.losses.parsing import Parser, mentions
from ptc.runtime.losses.place import Place
from ptc.runtime.losses.totals import Totals
from ptc.runtime.losses.tree import SAMPLE, STEP, At, Course, Expression, known_beforehand, walked
from ptc.runtime.losses.vocabulary import Statistics

Weight = float | Json
"""A number, or its course: ``{"anneal": [from, to], "over": steps}``."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Prepared:
    """A global batch of each source, with the values on them that hold no model."""

    formula: Formula
    batches: Mapping[str, Batch]
    totals: Mapping[str, Totals]
    constants: Mapping[Expression, torch.Tensor]
    step: int

    @property
    def splits(self) -> bool:
        """Whether the gradients of micro-batches add up to that of the batch; if not, it is to be evaluated whole."""
        return self.formula.splits


@dataclass(frozen=True)
class Part:
    """The share of a micro-batch in the loss."""

    loss: torch.Tensor
    statistics: Mapping[tuple[str, str], Statistics]
    """Of the tokens that bear loss, by model that learns and column."""
    roots: tuple[Expression, ...]
    """Of the trees that it was computed by."""
    value: Callable[[Expression], torch.Tensor]
    """What a node, of these trees or above them, is worth on the micro-batch."""


class Loss:
    """The sum of some weighted terms, which learn from one source, or from several that share their prompts."""

    def __init__(
        self, terms: Sequence[tuple[Weight, Json]], sources: Sequence[str] = (), still: Iterable[str] = ()
    ) -> None:
        """`sources`: the source of each term, which is meant where its document names none; by default one for all.
        `still`: the models that do not learn.

        Raises `ValueError` for an expression outside `docs/graph.md`; the compiler emits none.
        """
        own = list(sources) or ["s0"] * len(terms)
        named = (name for _, document in terms for name in _sources(document))
        self.sources = tuple(dict.fromkeys([*own, *named]))
        parser = Parser(grouped=any(mentions(document, "group") for _, document in terms))
        self._formula = Formula(
            [
                (_course(weight), parser.parse(document, source))
                for (weight, document), source in zip(terms, own, strict=True)
            ],
            frozenset(still),
        )
        for root in self._formula.roots:
            if root.axes:
                raise ValueError(f"a loss is one number, but this one still has the axes {sorted(root.axes)}")
        self._needs = {source: Needs.of(self._formula.roots, source) for source in self.sources}
        self.splits = self._formula.splits
        """Whether the gradients of micro-batches add up to that of the batch, as the loss is written, …"""
        self.splits_in_two_passes = self._formula.in_two_passes.splits
        """… or once what carries no gradient is known of the whole batch."""

    @property
    def roots(self) -> tuple[Expression, ...]:
        """The trees of its terms, as they are written."""
        return tuple(self._formula.roots)

    @property
    def shares_prompts(self) -> bool:
        """Whether sources have one number per prompt in common."""
        return any(len({arg.source for arg in node.args if arg.axes}) > 1 for node in walked(self._formula.roots))

    def asks(self, source: str, at: At = "batch_start") -> bool:
        """Whether a model is asked of a source as it was then: when the rollout batch was taken up, …"""
        return any(leaf.source == source for leaf in self._formula.asked(at))

    def needs(self, source: str | None = None) -> Needs:
        """What must be known of the samples of a source, or of the only one."""
        return self._needs[source or self._only]

    def taken_up(
        self,
        groups: Sequence[Sequence[Sample]],
        forward: Forward,
        cut: Cut,
        source: str | None = None,
        device: torch.device = CPU,
        at: At = "batch_start",
    ) -> Sequence[Sequence[Sample]]:
        """Samples of a source that bring along what models say of them now: what is asked `at: batch_start`.

        To be called once for each rollout batch, when it is taken up. The samples keep it through all their steps.
        """
        asked = [leaf for leaf in self._formula.asked(at) if leaf.source == (source or self._only)]
        return with_kept(groups, asked, forward, cut, device) if asked else groups

    def prepare(
        self, batch: Batch | Mapping[str, Batch], step: int = 0, forward: Forward | None = None, cut: Cut | None = None
    ) -> Prepared:
        """The values that hold no model, on the global batches, after so many completed optimizer steps.

        A loss that does not split as it is written may do so in two passes. With `forward` and `cut` the first is
        taken here, without gradient, where there are several micro-batches.
        """
        given = {self._only: batch} if isinstance(batch, Batch) else batch
        batches = {source: _with_columns(given[source], self._needs[source]) for source in self.sources}
        formula = self._formula
        if forward is not None and cut is not None and not formula.splits and _several(batches, cut):
            formula = formula.in_two_passes if self.splits_in_two_passes else formula
            for source, own in batches.items():
                asked = [leaf for leaf in formula.asked("step_start") if leaf.source == source]
                batches[source] = keeping(own, asked, forward, cut)
        totals = {source: Totals.of(each) for source, each in batches.items()}
        whole = Evaluation(Place(batches, totals, step), {}, {})
        with torch.no_grad():
            constants = {node: whole.value(node) for node in known_beforehand(formula.roots)}
        return Prepared(formula, batches, totals, constants, step)

    def part(self, prepared: Prepared, start: int, stop: int, forward: Forward, source: str | None = None) -> Part:
        """This loss's share that is due to the samples from `start` to before `stop` of a source's global batch."""
        spans = {each: (0, 0) for each in self.sources} | {source or self._only: (start, stop)}
        return _evaluated(prepared, spans, forward)

    def whole(self, prepared: Prepared, forward: Forward) -> Part:
        """This loss on all samples at once."""
        spans = {source: (0, batch.samples) for source, batch in prepared.batches.items()}
        return _evaluated(prepared, spans, forward)

    def constant_part(self, prepared: Prepared) -> float:
        """What each part adds regardless of its samples: the parts of k slices sum to the loss and k - 1 times this."""
        return float(_evaluated(prepared, dict.fromkeys(self.sources, (0, 0)), _unasked).loss)

    @property
    def _only(self) -> str:
        [source] = self.sources
        return source


def _evaluated(prepared: Prepared, spans: Mapping[str, tuple[int, int]], forward: Forward) -> Part:
    batches = {source: batch.slice(*spans[source]) for source, batch in prepared.batches.items()}
    constants = {node: _slice(value, node, prepared, spans) for node, value in prepared.constants.items()}
    starts = {source: start for source, (start, _) in spans.items()}
    place = Place(batches, prepared.totals, prepared.step, prepared.batches, starts)
    evaluation = Evaluation(place, constants, said(prepared.formula.asked(), batches, forward))
    loss = torch.zeros((), device=place.device)
    for weight, root in prepared.formula.terms:
        loss = loss + weight.at(prepared.step) * evaluation.value(root)
    statistics: dict[tuple[str, str], Statistics] = {}
    for (model, _, column), each in evaluation.statistics.items():
        statistics[model, column] = statistics.get((model, column), Statistics(0, 0.0, 0.0)) + each
    return Part(loss, statistics, tuple(prepared.formula.roots), evaluation.value)


def _several(batches: Mapping[str, Batch], cut: Cut) -> bool:
    """Whether there are several micro-batches."""
    return sum(len([*cut(batch.widths)]) for batch in batches.values()) > 1


def losses_of(terms: Sequence[Json], still: Iterable[str] = ()) -> list[Loss]:
    """The losses of a stage's terms (`docs/graph.md`, "Train"), one for each set of sources that terms bring together.

    They stand in the order of their first terms. `still`: the models that do not learn. Raises `ValueError` as `Loss`
    does.
    """
    still = frozenset(still)
    together: list[set[str]] = []
    for term in terms:
        met = {term["source"], *_sources(term["loss"])}
        apart = [group for group in together if not group & met]
        together = [*apart, met.union(*(group for group in together if group & met))]
    first = [next(place for place, term in enumerate(terms) if term["source"] in group) for group in together]
    losses = []
    for _, group in sorted(zip(first, together, strict=True), key=lambda pair: pair[0]):
        own = [term for term in terms if term["source"] in group]
        weighted, sources = [(term["weight"], term["loss"]) for term in own], [term["source"] for term in own]
        losses.append(Loss(weighted, sources, still))
    return losses


def _unasked(model: str, columns: Sequence[str], batch: Batch) -> Sequence[Answer]:
    raise AssertionError(f"{model} is asked about no sample")


def _sources(document: Json) -> Iterator[str]:
    """The sources that a document names."""
    if "source" in document:
        yield document["source"]
    for arg in document.get("args", ()):
        yield from _sources(arg)


def _course(weight: Weight) -> Course:
    if isinstance(weight, int | float):
        return Course(float(weight), float(weight), 1)
    start, end = weight["anneal"]
    return Course(start, end, weight["over"])


def _slice(
    value: torch.Tensor, node: Expression, prepared: Prepared, spans: Mapping[str, tuple[int, int]]
) -> torch.Tensor:
    """The part of a value that belongs to the samples of a micro-batch; what is laid out by prompt stays whole."""
    if node.layout < SAMPLE:
        return value
    batch, (start, stop) = prepared.batches[node.source], spans[node.source]
    if node.layout == SAMPLE:
        return value[start:stop]
    bounds = batch.step_bounds if node.layout == STEP else batch.sequences[node.column].token_bounds
    return value[bounds[start] : bounds[stop]]


def _with_columns(batch: Batch, needs: Needs) -> Batch:
    """The batch; one without samples, which knows of no column, with columns of nothing."""
    if batch.samples:
        return batch
    nothing = torch.zeros(0, device=batch.prompt.device)
    translated = (reading(column, tokenizer=model) for column, model in needs.translated)
    readings = [*needs.texts, *(reading(column, given) for column, given in needs.given), *translated]
    return replace(
        batch,
        numbers=dict.fromkeys(needs.numbers, nothing),
        token_numbers=dict.fromkeys(needs.token_numbers, nothing),
        step_numbers=dict.fromkeys(needs.step_numbers, nothing),
        sequences={name: Sequences.empty(batch.prompt.device) for name in readings},
    )
