"""What a loss reads of the samples of a source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ptc.runtime.losses.tree import Asked, Expression, walked


@dataclass(frozen=True)
class Needs:
    numbers: frozenset[str] = frozenset()
    """Columns with one number per sample."""
    token_numbers: frozenset[str] = frozenset()
    """Columns with one number per token of the response."""
    step_numbers: frozenset[str] = frozenset()
    """Columns with one number per step."""
    conditions: frozenset[str] = frozenset()
    """Those of the columns that say yes or no."""
    texts: tuple[str, ...] = ()
    """Columns with token ids."""
    given: tuple[tuple[str, str], ...] = ()
    """Texts that a model reads behind a context of its own, each with the column that the context is."""
    translated: tuple[tuple[str, str], ...] = ()
    """Texts that are read in the tokens of another model than those of the source, each with that model."""
    scored: frozenset[str] = frozenset()
    """The readings of which a reward head is asked."""
    stepped: bool = False
    """Whether the steps of responses are told apart."""

    @staticmethod
    def of(roots: Iterable[Expression], source: str) -> Needs:
        nodes = [node for node in walked(roots) if node.source == source]
        columns = [node for node in nodes if node.op == "column"]
        asked = [node.asked for node in nodes if node.asked is not None]
        conditions = (node.args[0] for node in nodes if node.op == "where")
        return Needs(
            numbers=frozenset(node.name for node in columns if not node.axes & {"token", "step"}),
            token_numbers=frozenset(node.name for node in columns if "token" in node.axes),
            step_numbers=frozenset(node.name for node in columns if "step" in node.axes),
            conditions=frozenset(node.name for node in conditions if node.op == "column"),
            texts=tuple(sorted(_texts(nodes, asked))),
            given=tuple(sorted({(each.column, each.given) for each in asked if each.given})),
            translated=tuple(sorted({(each.column, each.tokenizer) for each in asked if each.tokenizer})),
            scored=frozenset(each.reading for each in asked if each.op == "score"),
            stepped=any("step" in node.axes for node in nodes),
        )


def _texts(nodes: Iterable[Expression], asked: Iterable[Asked]) -> set[str]:
    others = {each.reading for each in asked if each.tokenizer}
    return {node.column for node in nodes if node.column} - others | {each.column for each in asked}
