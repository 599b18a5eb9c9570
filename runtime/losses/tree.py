"""The tree of a loss: its operations, the axes of each value, and what its first dimension counts.

Legend: P prompts, S samples, T steps of a process, N tokens that bear loss, V vocabulary. The axes of a value say which
of these it is laid out over: none → (), prompt → (P,), prompt and group → (S,), with step → (T,), with token → (N,),
packed sample after sample; vocab comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch.nn import functional

from ptc.runtime.batches import reading

ONE, PROMPT, SAMPLE, STEP, TOKEN = range(5)
"""What the first dimension of a value counts, from coarse to fine."""
LAYOUT = {"prompt": PROMPT, "group": SAMPLE, "step": STEP, "token": TOKEN}

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
FOLDED: Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "min": torch.minimum,
    "max": torch.maximum,
}
"""Pointwise, of two or more."""
RUNNING = frozenset({"suffix_sum", "suffix_min", "at_end", "gae"})
"""Operations on the tokens or steps of one sample."""
ADDITIVE = frozenset({"mean", "sum", "count"})
TRANSPORT = "transport"
"""The one operation on values over the vocabularies of two models, each at the tokens of its own tokenizer."""
REDUCTIONS = ADDITIVE | {"std", "min_over", "max_over"}
FORWARDS = frozenset({"logp", "logp_all", "value", "score"})
LEAVES = frozenset({"constant", "anneal", "column", "length"})
OUTSIDE = frozenset({"extern", "rows"})
"""A loss in Python, and one of the sources that it is given."""
OPERATIONS = POINTWISE.keys() | FOLDED.keys() | RUNNING | REDUCTIONS | FORWARDS | LEAVES | OUTSIDE | {TRANSPORT}
"""Everything that a loss may hold."""
CROSSING = frozenset({"prompt", "group"})


def pointwise(op: str, args: list[torch.Tensor]) -> torch.Tensor:
    """An operation on values that are laid out alike."""
    if op not in FOLDED:
        return POINTWISE[op](*args)
    result = args[0]
    for arg in args[1:]:
        result = FOLDED[op](result, arg)
    return result


At = Literal["", "stage_start", "batch_start", "step_start"]
"""Of which weights something is asked: of those that stand, with their gradient; of those with which the stage began or
the rollout batch was taken up, which its samples bring along; of those that stand, but without gradient and before all
micro-batches."""


@dataclass(frozen=True)
class Asked:
    """What a model is asked about a text."""

    op: str
    """`logp`, `logp_all`, `value` or `score`."""
    model: str
    source: str
    column: str
    given: str = ""
    """The column that the model sees before the prompt, where it does."""
    temperature: float = 1.0
    at: At = ""
    """Of which weights."""
    tokenizer: str = ""
    """The model in whose tokens it reads the text, where those are not the ones that the source has."""

    @property
    def reading(self) -> str:
        """The sequences of the batch that the model reads."""
        return reading(self.column, self.given, self.tokenizer)

    @property
    def kept_as(self) -> str:
        """The name under which it is kept, where it is not asked anew."""
        return f"{self.op} {self.model} {self.temperature:g} {self.at}"


@dataclass(frozen=True)
class Course:
    """A number that goes from one to the other in so many completed optimizer steps, and stays there."""

    start: float
    end: float
    steps: int

    def at(self, step: int) -> float:
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


@dataclass(frozen=True)
class Rows:
    """A source as a loss in Python is given it. The node's arguments are its numbers, and then, text by text, what each
    model says of it."""

    name: str
    """The parameter."""
    numbers: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Outside:
    """A loss in Python. The node's arguments are its sources."""

    target: str
    roles: tuple[str, ...]
    """The parameters that models fill, …"""
    absent: tuple[str, ...]
    """… those that none fills, …"""
    numbers: tuple[tuple[str, float | Course], ...]
    """… and those that numbers do."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Expression:
    """A node of the tree. Equal subtrees are one object."""

    op: str
    args: tuple[Expression, ...]
    axes: frozenset[str]
    source: str
    """Whose samples it is laid out over; of a value per prompt, any of those that share their prompts; or none."""
    column: str
    """Of `length`, and of a value with a token axis, the column whose tokens it counts or runs over."""
    over: frozenset[str]
    """Of a reduction."""
    asked: Asked | None
    """Of `logp`, `logp_all`, `value` and `score`."""
    name: str
    """Of a `column`."""
    value: float
    """Of a `constant`."""
    course: Course | None
    """Of `anneal`."""
    discount: float
    """Of `suffix_sum` and `gae`."""
    trace: float
    """Of `gae`: its lambda."""
    outside: Outside | None = None
    """Of `extern`."""
    rows: Rows | None = None
    """Of `rows`."""

    @cached_property
    def layout(self) -> int:
        """What the first dimension of its tensor counts."""
        return max((LAYOUT.get(axis, ONE) for axis in self.axes), default=ONE)

    @cached_property
    def leaves(self) -> frozenset[Expression]:
        """All nodes without arguments at or below this one."""
        return frozenset({self}) if not self.args else frozenset().union(*(arg.leaves for arg in self.args))

    @cached_property
    def has_forward(self) -> bool:
        """Whether a model is asked below it, with its weights as they are. (How many values there are, none says.)"""
        if self.asked is not None:
            return not self.asked.at
        if self.op in OUTSIDE:
            return True
        return self.op != "count" and any(arg.has_forward for arg in self.args)

    @cached_property
    def crosses(self) -> bool:
        """At or below it a value that carries a model is summed over samples, of which a micro-batch holds a part."""
        crosses_here = self.op in REDUCTIONS and bool(self.over & CROSSING) and self.has_forward
        return crosses_here or self.op == "extern" or any(arg.crosses for arg in self.args)

    @cached_property
    def splits(self) -> bool:
        """Whether it is affine in the sums over samples below it, and uses them nowhere per sample."""
        if self.op == "extern":  # that it adds up over micro-batches is held at the first step
            return True
        if self.op in REDUCTIONS:
            return self.args[0].splits and (self.op in ADDITIVE or not self.crosses)
        crossing = [arg for arg in self.args if arg.crosses]
        if not crossing:
            return True
        in_numerator = self.op != "div" or self.args[1] not in crossing
        scales = self.op in {"mul", "div"} and len(crossing) == 1 and in_numerator
        return (scales or self.op in {"add", "sub", "neg", "stop"}) and all(
            arg.layout == self.layout and arg.splits for arg in crossing
        )


def known_beforehand(roots: Iterable[Expression]) -> list[Expression]:
    """What holds no model and has to be known of the whole batch: the largest parts, and sums over samples in them."""
    largest = largest_without_forward(roots)
    sums = [node for node in walked(largest) if node.op in REDUCTIONS and node.over & CROSSING]
    return list(dict.fromkeys([*largest, *sums]))


def largest_without_forward(roots: Iterable[Expression]) -> list[Expression]:
    """The largest parts of trees that hold no model, each once."""
    found: dict[Expression, None] = {}
    seen: set[Expression] = set()
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node.has_forward and node not in seen:
            seen.add(node)
            waiting.extend(node.args)
        elif not node.has_forward:
            found[node] = None
    return list(found)


def walked(roots: Iterable[Expression]) -> Iterator[Expression]:
    """Every node, each once."""
    seen: set[Expression] = set()
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            yield node
            waiting.extend(node.args)
