"""Every situation in which the parser can stop, with a row of terminals that leads there.

The parser's table is walked without any text: a situation is a stack of states, of which the four on top and the set of
terminals that can be accepted tell it apart (with five, the walk finds no further set). A token that cannot be accepted
may still close what was read before it stops the parser, so the stacks it leaves behind are situations too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from lark import Lark
from lark.parsers.lalr_analysis import Shift

Stack = tuple[int, ...]


class _Table:
    def __init__(self, parser: Lark) -> None:
        table = parser.parser.parser._parse_table  # type: ignore[attr-defined]
        self.states = table.states
        self.end = table.end_states["program"]
        self.start: Stack = (table.start_states["program"],)
        self.terminals = sorted(
            {name for row in self.states.values() for name in row if name.isupper() or name == "$END"}
        )

    def fed(self, stack: Stack, terminal: str) -> tuple[bool, Stack]:
        """Whether the terminal was accepted, and the stack it leaves."""
        while True:
            action = self.states[stack[-1]].get(terminal)
            if action is None:
                return terminal == "$END" and stack[-1] == self.end, stack
            kind, to = action
            if kind is Shift:
                return True, (*stack, to)
            stack = stack[: len(stack) - len(to.expansion)]
            stack = (*stack, self.states[stack[-1]][to.origin.name][1])

    def accepted(self, stack: Stack) -> frozenset[str]:
        return frozenset(terminal for terminal in self.terminals if self.fed(stack, terminal)[0])


def situations(parser: Lark) -> Iterator[tuple[frozenset[str], tuple[str, ...]]]:
    """The distinct sets of terminals that can be accepted where the parser stops, each with a way there."""
    table = _Table(parser)
    seen: set[tuple[Stack, frozenset[str]]] = set()
    yielded: set[frozenset[str]] = set()
    queue: deque[tuple[Stack, tuple[str, ...], bool]] = deque([(table.start, (), True)])
    while queue:
        stack, path, goes_on = queue.popleft()
        accepted = table.accepted(stack)
        if accepted not in yielded:
            yielded.add(accepted)
            yield accepted, path
        if not goes_on or (stack[-4:], accepted) in seen:
            continue
        seen.add((stack[-4:], accepted))
        for terminal in table.terminals:
            shifted, left = table.fed(stack, terminal)
            if shifted and terminal != "$END":
                queue.append((left, (*path, terminal), True))
            elif not shifted and left != stack:
                queue.append((left, (*path, terminal), False))
