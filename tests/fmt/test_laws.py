"""The laws of the formatter, on trees that hypothesis makes: parse(format(p)) is p, format is idempotent, and it loses
no comment.

200 trees in every run, `PTC_FMT_EXAMPLES=10000 pytest tests/fmt/test_laws.py` as many as one likes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from trees import Maker

from ptc.lang import ast
from ptc.lang.format import format, lay_out
from ptc.lang.parse import parse
from ptc.lang.same import same
from ptc.lang.source import Source


@st.composite
def programs(draw: Callable[[st.SearchStrategy[Any]], Any]) -> ast.Program:
    return Maker(lambda below: int(draw(st.integers(0, below - 1)))).program()


@settings(
    max_examples=int(os.environ.get("PTC_FMT_EXAMPLES", "200")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(programs())
def test_what_is_printed_reads_as_what_was_printed(program: ast.Program) -> None:
    text = lay_out(program)
    note(text)
    again, _ = parse(Source("made.pt", text))
    assert same(program, again)
    assert format(again) == text
