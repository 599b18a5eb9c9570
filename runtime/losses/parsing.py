"""Builds the tree of a loss from its document (`docs/graph.md`, "Expressions")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ptc.compiler.graph import Json
from ptc.runtime.batches import reading
from ptc.runtime.losses.tree import (
    CROSSING,
    FORWARDS,
    OPERATIONS,
    OUTSIDE,
    REDUCTIONS,
    TRANSPORT,
    Asked,
    Course,
    Expression,
    Outside,
    Rows,
)

INNER = frozenset({"step", "token"})


class Parser:
    """Builds expressions, equal subtrees as one object. Raises `ValueError` for what is outside `docs/graph.md`."""

    def __init__(self, grouped: bool) -> None:
        # Where no value knows of groups each row is its own prompt: laid out by sample, so that it can be sliced.
        self._implied = frozenset() if grouped else frozenset({"group"})
        self._known: dict[object, Expression] = {}

    def parse(self, document: Json, source: str) -> Expression:
        """The tree; `source` is meant where the document names none."""
        args = tuple(self.parse(arg, source) for arg in document.get("args", ()))
        op = document["op"]
        if op in OUTSIDE:
            return self._outside(document, args, source)
        axes, over = self._axes(document["axes"]), self._axes(document.get("over", ()))
        columns, sources = _columns(op, document, args, axes), _sources(document, args, axes, source)
        _verify(op, args, axes, over, columns, sources)
        found = Expression(
            op=op,
            args=args,
            axes=axes,
            source=min(sources, default=""),
            column=next(iter(columns)) if "token" in axes or op == "length" else "",
            over=over,
            asked=_asked(document, source) if op in FORWARDS else None,
            name=document.get("name", ""),
            value=float(document.get("value", 0.0)),
            course=Course(document["start"], document["end"], document["steps"]) if op == "anneal" else None,
            discount=float(document.get("discount", 1.0)),
            trace=float(document.get("lambda", 1.0)),
        )
        return self._known.setdefault(tuple(vars(found).values()), found)

    def _outside(self, document: Json, args: tuple[Expression, ...], source: str) -> Expression:
        """A loss in Python, or a source that it is given."""
        found = Expression(
            op=document["op"],
            args=args,
            axes=self._axes(document["axes"]),
            source=document.get("source", source) if document["op"] == "rows" else "",
            column="",
            over=frozenset(),
            asked=None,
            name="",
            value=0.0,
            course=None,
            discount=1.0,
            trace=1.0,
            outside=_called(document) if document["op"] == "extern" else None,
            rows=_described(document) if document["op"] == "rows" else None,
        )
        return self._known.setdefault(tuple(vars(found).values()), found)

    def _axes(self, names: Sequence[str]) -> frozenset[str]:
        axes = frozenset(names)
        if "sample" in axes:
            axes = axes - {"sample"} | CROSSING
        return axes | self._implied if "prompt" in axes else axes


def mentions(document: Json, axis: str) -> bool:
    """Whether a value at or below has an axis."""
    return axis in document["axes"] or any(mentions(arg, axis) for arg in document.get("args", ()))


def _asked(document: Json, source: str) -> Asked:
    return Asked(
        document["op"],
        document["model"],
        document.get("source", source),
        document["column"],
        document.get("given", ""),
        float(document.get("temperature", 1.0)),
        document.get("at", ""),
        document.get("tokenizer", ""),
    )


def _called(document: Json) -> Outside:
    numbers = tuple((name, _number(value)) for name, value in document["numbers"].items())
    return Outside(document["target"], tuple(document["roles"]), tuple(document["absent"]), numbers)


def _number(value: Json) -> float | Course:
    """A number, or its course."""
    if not isinstance(value, Mapping):
        return value  # type: ignore[no-any-return]
    start, end = value["anneal"]
    return Course(start, end, value["over"])


def _described(document: Json) -> Rows:
    return Rows(document["name"], tuple(document["numbers"]), tuple(document["texts"]))


def _columns(op: str, document: Json, args: Sequence[Expression], axes: frozenset[str]) -> set[str]:
    """The text columns whose tokens an expression runs over, or asks about; those of another tokenizer by the name of
    the reading."""
    if op in FORWARDS or op == "length":
        return {reading(document["column"], tokenizer=document.get("tokenizer", ""))}
    if op in ("at_end", TRANSPORT):
        return {document["tokens"]}
    if op == "column" and "token" in axes:
        return {"response"}
    return {arg.column for arg in args if "token" in arg.axes}


def _sources(document: Json, args: Sequence[Expression], axes: frozenset[str], source: str) -> set[str]:
    """Whose samples, or else whose prompts, an expression is laid out over."""
    if not axes:
        return set()
    if not args:
        return {document.get("source", source)}
    within = {arg.source for arg in args if "group" in arg.axes}
    return within or {arg.source for arg in args if arg.source}


def _verify(
    op: str,
    args: tuple[Expression, ...],
    axes: frozenset[str],
    over: frozenset[str],
    columns: set[str],
    sources: set[str],
) -> None:
    if op not in OPERATIONS:
        raise ValueError(f"no operation is called `{op}`")
    if len(columns) > 1:
        raise ValueError(f"`{op}` cannot align the tokens of {_listed(columns)}")
    if "group" in axes and len(sources) > 1:
        raise ValueError(f"`{op}` cannot align the samples of {_listed(sources)}")
    if op in REDUCTIONS:
        if not over or not over <= args[0].axes or axes != args[0].axes - over:
            raise ValueError(f"`{op}` over {sorted(over)} of {sorted(args[0].axes)} does not leave {sorted(axes)}")
        if (axes & INNER and over & CROSSING) or ("group" in axes and "prompt" in over):
            raise ValueError(f"`{op}` over {sorted(over)} leaves {sorted(axes)}, which do not align across samples")
    elif args and axes != _joint(op, args):
        raise ValueError(f"`{op}` does not have the axes {sorted(axes)}")


def _joint(op: str, args: Iterable[Expression]) -> frozenset[str]:
    """The axes of values taken together: a token lies in one step, so what is known of steps holds for their tokens."""
    axes = frozenset[str]().union(*(arg.axes for arg in args))
    if op == "at_end":
        axes |= {"prompt", "group", "token"}
    if op == TRANSPORT:
        axes -= {"vocab"}
    return axes - {"step"} if "token" in axes else axes


def _listed(names: set[str]) -> str:
    return " and ".join(sorted(names))
