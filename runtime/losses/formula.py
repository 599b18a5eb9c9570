"""The weighted terms of a loss, as they are written, or with what carries no gradient known where it must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ptc.runtime.losses.tree import At, Course, Expression


@dataclass(frozen=True)
class Formula:
    terms: Sequence[tuple[Course, Expression]]
    still: frozenset[str] = frozenset()
    """The models that do not learn."""

    @cached_property
    def roots(self) -> list[Expression]:
        return [root for _, root in self.terms]

    @cached_property
    def splits(self) -> bool:
        """Whether the gradients of micro-batches add up to that of the batch."""
        return all(root.splits for root in self.roots)

    def asked(self, at: At = "") -> list[Expression]:
        """What models are asked, of these weights."""
        leaves = frozenset[Expression]().union(*(root.leaves for root in self.roots))
        return [leaf for leaf in leaves if leaf.asked is not None and leaf.asked.at == at]

    @cached_property
    def in_two_passes(self) -> Formula:
        """The same, with sums over the batch that carry no gradient known before its micro-batches: what a value of
        each sample is held against is then a number for all of them."""
        parting = _Parting(self.still)
        return Formula([(weight, parting.parted(root)) for weight, root in self.terms], self.still)


class _Parting:
    """Rewrites trees, each node once, so that equal subtrees stay one object."""

    def __init__(self, still: frozenset[str]) -> None:
        self._still = still
        self._parted: dict[Expression, Expression] = {}
        self._known: dict[Expression, Expression] = {}
        self._learning: dict[Expression, bool] = {}

    def parted(self, node: Expression) -> Expression:
        """The node, what keeps it from being split being known where that carries no gradient."""
        if node not in self._parted:
            own = [
                self._beforehand(arg) if arg.crosses and not self._learns(arg) else self.parted(arg)
                for arg in (() if node.splits else node.args)
            ]
            self._parted[node] = replace(node, args=tuple(own)) if own else node
        return self._parted[node]

    def _beforehand(self, node: Expression) -> Expression:
        """The value, of what models say before the micro-batches."""
        if node not in self._known:
            if node.asked is not None:
                self._known[node] = node if node.asked.at else replace(node, asked=replace(node.asked, at="step_start"))
            else:
                self._known[node] = replace(node, args=tuple(self._beforehand(arg) for arg in node.args))
        return self._known[node]

    def _learns(self, node: Expression) -> bool:
        """Whether a value carries gradient."""
        if node not in self._learning:
            if node.asked is not None:
                self._learning[node] = not node.asked.at and node.asked.model not in self._still
            else:
                self._learning[node] = node.op != "stop" and any(self._learns(arg) for arg in node.args)
        return self._learning[node]
