"""Every situation in which the parser can stop, with a text that leads there: what the test of completeness walks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from lark import Lark, Token
from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser


def situations(parser: Lark) -> Iterator[tuple[frozenset[str], tuple[str, ...]]]:
    """The distinct sets of terminals that can be accepted, each with a shortest row of terminals that leads to it."""
    start = parser.parse_interactive("")
    seen: set[tuple[int, int, frozenset[str]]] = set()
    yielded: set[frozenset[str]] = set()
    queue: deque[tuple[InteractiveParser, tuple[str, ...]]] = deque([(start, ())])
    while queue:
        here, path = queue.popleft()
        accepted = frozenset(here.accepts())
        if accepted not in yielded:
            yielded.add(accepted)
            yield accepted, path
        for terminal in sorted(accepted - {"$END"}):
            there = here.copy()
            try:
                there.feed_token(Token(terminal, ""))
            except UnexpectedToken:
                continue
            stack = there.parser_state.state_stack
            key = (stack[-1], stack[-2] if len(stack) > 1 else -1, frozenset(there.accepts()))
            if key not in seen:
                seen.add(key)
                queue.append((there, (*path, terminal)))
