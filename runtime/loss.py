"""A loss is an expression over named axes (`docs/graph.md`, "Expressions"), evaluated here on a batch of token ids.

It knows no objective by name. Values without a model in them (rewards, advantages) are computed once, on the global
batch; the rest is computed per micro-batch, each reduction dividing by the *global* count, so that the gradients of
micro-batches add up to the gradient of the batch, however it was cut.

Legend: P prompts, S samples, N tokens that bear loss, V vocabulary. The axes of a value say which of these it is laid
out over: none → (), prompt → (P,), prompt and group → (S,), with token → (N,), packed; vocab comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch.nn import functional

from ptc.compiler.graph import Json
from ptc.runtime import running
from ptc.runtime.batches import Batch

POINTWISE: Mapping[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "neg": torch.neg,
    "exp": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "sigmoid": torch.sigmoid,
    "log_sigmoid": functional.logsigmoid,
    "clamp": torch.clamp,
    "stop": torch.Tensor.detach,
    "eq": lambda a, b: (a == b).to(torch.promote_types(a.dtype, b.dtype)),
    "ne": lambda a, b: (a != b).to(torch.promote_types(a.dtype, b.dtype)),
    "lt": lambda a, b: (a < b).to(torch.promote_types(a.dtype, b.dtype)),
    "le": lambda a, b: (a <= b).to(torch.promote_types(a.dtype, b.dtype)),
    "gt": lambda a, b: (a > b).to(torch.promote_types(a.dtype, b.dtype)),
    "ge": lambda a, b: (a >= b).to(torch.promote_types(a.dtype, b.dtype)),
    "where": lambda condition, yes, no: torch.where(condition != 0, yes, no),
}
RUNNING = frozenset({"suffix_sum", "suffix_min", "at_end", "gae"})
"""Operations on the tokens of one sample."""
ADDITIVE = frozenset({"mean", "sum", "count"})
REDUCTIONS = ADDITIVE | {"std", "min_over", "max_over"}
FORWARDS = frozenset({"logp", "logp_all"})
OPERATIONS = POINTWISE.keys() | RUNNING | REDUCTIONS | FORWARDS | {"min", "max", "constant", "column", "length"}
"""Everything that a loss may hold."""
CROSSING = frozenset({"prompt", "group"})
TOKEN, SAMPLE, PROMPT, ONE = 3, 2, 1, 0


class Forward(Protocol):
    """Runs a model once over columns of a batch: logits (N, V) of the tokens of each, with gradient if trained."""

    def __call__(self, model: str, columns: Sequence[str], batch: Batch) -> Sequence[torch.Tensor]: ...


@dataclass(frozen=True, eq=False)
class Expression:
    """A node of the tree. Equal subtrees are one object."""

    op: str
    args: tuple[Expression, ...]
    axes: frozenset[str]
    value: float
    """Of a `constant`."""
    name: str
    """Of a `column`."""
    model: str
    column: str
    """Of `logp`, `logp_all`, `length`; of another value with a token axis, the column whose tokens it runs over."""
    temperature: float
    discount: float
    """Of `suffix_sum` and `gae`."""
    trace: float
    """Of `gae`: its lambda."""
    over: frozenset[str]

    @cached_property
    def layout(self) -> int:
        """What the first dimension of its tensor counts."""
        if "token" in self.axes:
            return TOKEN
        if "group" in self.axes:
            return SAMPLE
        return PROMPT if "prompt" in self.axes else ONE

    @cached_property
    def leaves(self) -> frozenset[Expression]:
        """All nodes without arguments at or below this one."""
        return frozenset({self}) if not self.args else frozenset().union(*(arg.leaves for arg in self.args))

    @cached_property
    def has_forward(self) -> bool:
        return any(leaf.op in FORWARDS for leaf in self.leaves)

    @cached_property
    def crosses(self) -> bool:
        """At or below it a value that carries a model is summed over samples, of which a micro-batch holds a part."""
        crosses_here = self.op in REDUCTIONS and bool(self.over & CROSSING) and self.has_forward
        return crosses_here or any(arg.crosses for arg in self.args)


class Loss:
    """The sum of the weighted terms that learn from one source."""

    def __init__(self, terms: Sequence[tuple[float, Json]]) -> None:
        """Raises `ValueError` for an expression outside `docs/graph.md`; the compiler emits none."""
        grouped = any(_mentions(document, "group") for _, document in terms)
        parser = _Parser(grouped)
        self._terms = [(weight, parser.parse(document)) for weight, document in terms]
        for _, root in self._terms:
            if root.axes:
                raise ValueError(f"a loss is one number, but this one still has the axes {sorted(root.axes)}")
        leaves = frozenset().union(*(root.leaves for _, root in self._terms))
        self._forwards = [leaf for leaf in leaves if leaf.op in FORWARDS]
        columns = [leaf for leaf in leaves if leaf.op == "column"]
        self.numbers = frozenset(leaf.name for leaf in columns if "token" not in leaf.axes)
        """Columns with one number per sample that a batch must bring."""
        self.token_numbers = frozenset(leaf.name for leaf in columns if "token" in leaf.axes)
        """Columns with one number per token of the response that a batch must bring."""
        self.token_columns = tuple(sorted({leaf.column for leaf in leaves if leaf.column}))
        """Columns with token ids that a batch must bring."""
        self.models = frozenset(leaf.model for leaf in self._forwards)
        self.splits = all(_splits(root) for _, root in self._terms)
        """Whether the gradients of micro-batches add up to that of the batch; if not, a batch is evaluated whole."""

    def prepare(self, batch: Batch) -> Prepared:
        """The values that hold no model, on the global batch."""
        totals = _Totals.of(batch)
        whole = _Evaluation(batch, totals, {}, {})
        with torch.no_grad():
            constants = {node: whole.value(node) for _, root in self._terms for node in _largest_without_forward(root)}
        return Prepared(batch, totals, constants)

    def part(self, prepared: Prepared, start: int, stop: int, forward: Forward) -> Part:
        """This loss's share that is due to the samples from `start` to before `stop` of the global batch."""
        batch = prepared.batch.slice(start, stop)
        log_probabilities = self._log_probabilities(batch, forward)
        constants = {
            node: _slice(value, node, prepared.batch, start, stop) for node, value in prepared.constants.items()
        }
        evaluation = _Evaluation(batch, prepared.totals, constants, log_probabilities)
        loss = self._sum(evaluation)
        return Part(loss, {(leaf.model, leaf.column): log_probabilities[leaf] for leaf in self._forwards})

    def constant_part(self, prepared: Prepared) -> float:
        """What each part adds regardless of its samples: the parts of k slices sum to the loss and k - 1 times this."""
        nothing = self.part(prepared, 0, 0, lambda model, columns, batch: [torch.zeros(0, 1) for _ in columns])
        return float(nothing.loss)

    def _sum(self, evaluation: _Evaluation) -> torch.Tensor:
        total = torch.zeros(())
        for weight, root in self._terms:
            total = total + weight * evaluation.value(root)
        return total

    def _log_probabilities(self, batch: Batch, forward: Forward) -> dict[Expression, torch.Tensor]:
        """(N, V) for each forward leaf. A model runs once for all its columns and temperatures."""
        result: dict[Expression, torch.Tensor] = {}
        done: dict[tuple[str, str, float], torch.Tensor] = {}
        for model in sorted(self.models):
            leaves = [leaf for leaf in self._forwards if leaf.model == model]
            columns = sorted({leaf.column for leaf in leaves})
            logits = dict(zip(columns, forward(model, columns, batch), strict=True))
            for leaf in leaves:
                key = (model, leaf.column, leaf.temperature)
                if key not in done:
                    done[key] = log_softmax(logits[leaf.column], leaf.temperature)
                result[leaf] = done[key]
        return result


@dataclass(frozen=True)
class Prepared:
    """A global batch with the values on it that hold no model."""

    batch: Batch
    totals: _Totals
    constants: Mapping[Expression, torch.Tensor]


@dataclass(frozen=True)
class Part:
    """The share of a micro-batch in the loss, and the log-probabilities (N, V) it came from, by model and column."""

    loss: torch.Tensor
    log_probabilities: Mapping[tuple[str, str], torch.Tensor]


def log_softmax(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Log-probabilities at a temperature, in float32 or, if the logits are wider, as wide as they are."""
    wide = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    return torch.log_softmax(wide / temperature if temperature != 1 else wide, dim=-1)


class _Parser:
    """Builds expressions from JSON, equal subtrees as one object."""

    def __init__(self, grouped: bool) -> None:
        # Where no value knows of groups each row is its own prompt: laid out by sample, so that it can be sliced.
        self._implied = frozenset() if grouped else frozenset({"group"})
        self._known: dict[object, Expression] = {}

    def parse(self, document: Json) -> Expression:
        args = tuple(self.parse(arg) for arg in document.get("args", ()))
        op = document["op"]
        axes = self._axes(document["axes"])
        over = self._axes(document.get("over", ()))
        columns = _columns(op, document, args, axes)
        _verify(op, args, axes, over, columns)
        column = next(iter(columns)) if "token" in axes or op == "length" else ""
        model, temperature = document.get("model", ""), float(document.get("temperature", 1.0))
        value, name = float(document.get("value", 0.0)), document.get("name", "")
        discount, trace = float(document.get("discount", 1.0)), float(document.get("lambda", 1.0))
        key = (op, args, axes, over, value, name, model, column, temperature, discount, trace)
        if key not in self._known:
            self._known[key] = Expression(
                op, args, axes, value, name, model, column, temperature, discount, trace, over
            )
        return self._known[key]

    def _axes(self, names: Sequence[str]) -> frozenset[str]:
        axes = frozenset(names)
        if "sample" in axes:
            axes = axes - {"sample"} | CROSSING
        return axes | self._implied if "prompt" in axes else axes


def _columns(op: str, document: Json, args: Sequence[Expression], axes: frozenset[str]) -> set[str]:
    """The text columns whose tokens an expression runs over, or asks about."""
    if op in FORWARDS or op == "length":
        return {document["column"]}
    if op == "at_end":
        return {document["tokens"]}
    if op == "column" and "token" in axes:
        return {"response"}
    return {arg.column for arg in args if "token" in arg.axes}


def _mentions(document: Json, axis: str) -> bool:
    return axis in document["axes"] or any(_mentions(arg, axis) for arg in document.get("args", ()))


def _verify(
    op: str, args: tuple[Expression, ...], axes: frozenset[str], over: frozenset[str], columns: set[str]
) -> None:
    if op not in OPERATIONS:
        raise ValueError(f"no operation is called `{op}`")
    if len(columns) > 1:
        raise ValueError(f"`{op}` cannot align the tokens of {' and '.join(sorted(columns))}")
    if op in REDUCTIONS:
        if not over or not over <= args[0].axes or axes != args[0].axes - over:
            raise ValueError(f"`{op}` over {sorted(over)} of {sorted(args[0].axes)} does not leave {sorted(axes)}")
        if ("token" in axes and over & CROSSING) or ("group" in axes and "prompt" in over):
            raise ValueError(f"`{op}` over {sorted(over)} leaves {sorted(axes)}, which do not align across samples")
    elif args and axes - ({"token"} if op == "at_end" else set()) != frozenset().union(*(arg.axes for arg in args)):
        raise ValueError(f"`{op}` does not have the axes {sorted(axes)}")


def _splits(node: Expression) -> bool:
    """Whether the node is affine in the sums over samples below it, and uses them nowhere per sample."""
    if node.op in REDUCTIONS:
        return _splits(node.args[0]) and (node.op in ADDITIVE or not node.crosses)
    crossing = [arg for arg in node.args if arg.crosses]
    if not crossing:
        return True
    in_numerator = node.op != "div" or node.args[1] not in crossing
    scales = node.op in {"mul", "div"} and len(crossing) == 1 and in_numerator
    return (scales or node.op in {"add", "sub", "neg", "stop"}) and all(
        arg.layout == node.layout and _splits(arg) for arg in crossing
    )


def _largest_without_forward(node: Expression) -> list[Expression]:
    if not node.has_forward:
        return [node]
    return [found for arg in node.args for found in _largest_without_forward(arg)]


def _slice(value: torch.Tensor, node: Expression, batch: Batch, start: int, stop: int) -> torch.Tensor:
    if node.layout == TOKEN:
        bounds = batch.sequences[node.column].token_bounds
        return value[bounds[start] : bounds[stop]]
    return value[start:stop] if node.layout == SAMPLE else value


@dataclass(frozen=True)
class _Totals:
    """Counts of the global batch, by which means are taken."""

    prompts: int
    samples: int
    tokens: Mapping[str, int]
    """By column."""
    samples_of_prompt: torch.Tensor
    """(P,)"""
    tokens_of_prompt: Mapping[str, torch.Tensor]
    """(P,) by column."""

    @staticmethod
    def of(batch: Batch) -> _Totals:
        return _Totals(
            prompts=batch.prompts,
            samples=batch.samples,
            tokens={name: len(sequences.tokens) for name, sequences in batch.sequences.items()},
            samples_of_prompt=torch.bincount(batch.prompt, minlength=batch.prompts),
            tokens_of_prompt={
                name: batch.prompt.new_zeros(batch.prompts).index_add_(0, batch.prompt, sequences.lengths)
                for name, sequences in batch.sequences.items()
            },
        )


class _Evaluation:
    """The values of expressions on one micro-batch, each computed once."""

    def __init__(
        self,
        batch: Batch,
        totals: _Totals,
        constants: Mapping[Expression, torch.Tensor],
        log_probabilities: Mapping[Expression, torch.Tensor],
    ) -> None:
        self._batch = batch
        self._totals = totals
        self._log_probabilities = log_probabilities
        self._values = dict(constants)

    def value(self, node: Expression) -> torch.Tensor:
        if node not in self._values:
            self._values[node] = self._compute(node)
        return self._values[node]

    def _compute(self, node: Expression) -> torch.Tensor:
        if node.op == "constant":
            return torch.tensor(node.value, device=self._batch.prompt.device)
        if node.op == "column":
            return self._column(node)
        if node.op in FORWARDS:
            return self._forward(node)
        if node.op == "length":
            return self._batch.sequences[node.column].lengths.to(torch.get_default_dtype())
        if node.op in REDUCTIONS:
            return self._reduce(node)
        if node.op in RUNNING:
            return self._running(node)
        args = [self._lifted(arg, node) for arg in node.args]
        if node.op in {"min", "max"}:
            return _fold(torch.minimum if node.op == "min" else torch.maximum, args)
        return POINTWISE[node.op](*args)

    def _column(self, node: Expression) -> torch.Tensor:
        if node.layout == TOKEN:
            return self._batch.token_numbers[node.name]
        column = self._batch.numbers[node.name]
        if node.layout == SAMPLE:
            return column
        # One number per prompt: that of its samples, which agree.
        return column.new_zeros(self._totals.prompts).index_put_((self._batch.prompt,), column)

    def _forward(self, node: Expression) -> torch.Tensor:
        log_probabilities = self._log_probabilities[node]
        if node.op == "logp_all":
            return log_probabilities
        tokens = self._batch.sequences[node.column].tokens
        return log_probabilities.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)

    def _running(self, node: Expression) -> torch.Tensor:
        lengths = self._batch.sequences[node.column].lengths
        if node.op == "at_end":
            arg = node.args[0]
            value = self.value(arg)
            return running.at_end(value[self._batch.prompt] if arg.layout == PROMPT else value, lengths)
        values = [self._lifted(arg, node) for arg in node.args]
        match node.op:
            case "suffix_sum":
                return running.suffix_sum(values[0], lengths, node.discount)
            case "suffix_min":
                return running.suffix_min(values[0], lengths)
            case _:
                return running.generalised_advantages(values[0], values[1], lengths, node.discount, node.trace)

    def _reduce(self, node: Expression) -> torch.Tensor:
        arg = node.args[0]
        value = self.value(arg)
        if node.op == "sum":
            return self._summed(value, arg, node)
        if node.op == "count":
            return self._summed(torch.ones_like(value), arg, node)
        if node.op in ("min_over", "max_over"):
            return self._extreme(value, arg, node)
        count = self._aligned(self._count(arg, node), value, node)
        mean = self._summed(value, arg, node) / count
        if node.op == "mean":
            return mean
        squares = (value - self._lift(mean, node, arg)) ** 2
        # n - 1 in the denominator; the spread of a single value is 0.
        variance = self._summed(squares, arg, node) / (count - 1).clamp(min=1)
        # The square root has no derivative at 0, where a spread may well stand.
        return torch.where(variance > 0, variance, 1).sqrt() * (variance > 0)

    def _summed(self, value: torch.Tensor, arg: Expression, node: Expression) -> torch.Tensor:
        """Sums over the axes of `arg` that `node` no longer has."""
        if "vocab" in node.over:
            value = value.sum(-1)
        if arg.layout == node.layout:
            return value
        if node.layout == ONE:
            return value.sum(0)
        into = self._rows(arg, node.layout)
        rows = self._batch.samples if node.layout == SAMPLE else self._totals.prompts
        return value.new_zeros(rows, *value.shape[1:]).index_add(0, into, value)

    def _extreme(self, value: torch.Tensor, arg: Expression, node: Expression) -> torch.Tensor:
        """The least or the greatest over the axes of `arg` that `node` no longer has; 0 where there is none."""
        largest = node.op == "max_over"
        if "vocab" in node.over:
            value = value.amax(-1) if largest else value.amin(-1)
        if arg.layout == node.layout:
            return value
        rows = {ONE: 1, SAMPLE: self._batch.samples, PROMPT: self._totals.prompts}[node.layout]
        into = self._rows(arg, node.layout) if node.layout != ONE else torch.zeros(len(value), dtype=torch.long)
        empty = value.new_full((rows, *value.shape[1:]), float("-inf") if largest else float("inf"))
        into = into.to(value.device).view(-1, *[1] * (value.dim() - 1)).expand_as(value)
        found = empty.scatter_reduce(0, into, value, "amax" if largest else "amin")
        found = torch.where(found.isinf(), 0, found)
        return found[0] if node.layout == ONE else found

    def _count(self, arg: Expression, node: Expression) -> torch.Tensor:
        """How many values fall into each of `node`'s, at least 1, over the global batch; the vocabulary apart."""
        totals, column = self._totals, arg.column
        match arg.layout, node.layout:
            case (3, 2):
                count = self._batch.sequences[column].lengths
            case (3, 1):
                count = totals.tokens_of_prompt[column]
            case (3, 0):
                count = torch.tensor(totals.tokens[column])
            case (2, 1):
                count = totals.samples_of_prompt
            case (2, 0):
                count = torch.tensor(totals.samples)
            case (1, 0):
                count = torch.tensor(totals.prompts)
            case _:
                count = torch.tensor(1)
        return count.clamp(min=1)

    def _aligned(self, count: torch.Tensor, value: torch.Tensor, node: Expression) -> torch.Tensor:
        """The count, times the vocabulary where that is reduced too, shaped to divide `node`'s value."""
        if "vocab" in node.over:
            count = count * value.shape[-1]
        elif "vocab" in node.axes and count.dim():
            count = count.unsqueeze(-1)
        return count.to(value.device)

    def _lifted(self, arg: Expression, node: Expression) -> torch.Tensor:
        return self._lift(self.value(arg), arg, node)

    def _lift(self, value: torch.Tensor, arg: Expression, node: Expression) -> torch.Tensor:
        """The value laid out like `node`, which has all of `arg`'s axes."""
        if ONE < arg.layout < node.layout:
            value = value[self._rows(node, arg.layout)]
        if "vocab" in node.axes and "vocab" not in arg.axes and arg.layout != ONE:
            value = value.unsqueeze(-1)
        return value

    def _rows(self, node: Expression, layout: int) -> torch.Tensor:
        """For each row of `node` the row of a coarser layout to which it belongs."""
        if node.layout == SAMPLE:
            return self._batch.prompt
        owner = self._batch.sequences[node.column].owner
        return owner if layout == SAMPLE else self._batch.prompt[owner]


def _fold(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], args: Sequence[torch.Tensor]) -> torch.Tensor:
    result = args[0]
    for arg in args[1:]:
        result = function(result, arg)
    return result
