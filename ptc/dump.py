"""Any tree of frozen dataclasses as text: what `ptc plan --emit ast` and `--emit core` print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from ptc.lang.source import Source, Span


def dump(value: object) -> str:
    """One field a line, places left out. What was printed before is referred to by its number: ``Model #3``."""
    return "\n".join(_Dump().lines(value, "", 0))


class _Dump:
    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def lines(self, value: object, head: str, depth: int) -> Iterator[str]:
        indent = "  " * depth
        if is_dataclass(value) and not isinstance(value, type | Span | Source):
            yield from self._node(value, head, depth)
        elif isinstance(value, Mapping) and any(map(_is_tree, value.values())):
            yield f"{indent}{head}"
            for key, item in value.items():
                yield from self.lines(item, f"{getattr(key, 'name', key)}: ", depth + 1)
        elif isinstance(value, tuple | list) and any(map(_is_tree, value)):
            yield f"{indent}{head}"
            for item in value:
                yield from self.lines(item, "- ", depth + 1)
        else:
            yield f"{indent}{head}{dict(value) if isinstance(value, Mapping) else repr(value)}"

    def _node(self, value: object, head: str, depth: int) -> Iterator[str]:
        name = type(value).__name__
        if id(value) in self._numbers:
            yield f"{'  ' * depth}{head}{name} #{self._numbers[id(value)]}"
            return
        self._numbers[id(value)] = len(self._numbers) + 1
        yield f"{'  ' * depth}{head}{name} #{self._numbers[id(value)]}"
        assert is_dataclass(value)
        for field in fields(value):
            item = getattr(value, field.name)
            if field.repr and not isinstance(item, Span | Source) and item not in ((), None, ""):
                yield from self.lines(item, f"{field.name}: ", depth + 1)


def _is_tree(value: object) -> bool:
    return is_dataclass(value) or isinstance(value, Mapping | tuple | list)
