"""Row expressions in words keep the order in which they are computed."""

from __future__ import annotations

from typing import Any

import pytest
from row_expressions import column, constant, op

from ptc.compiler.row_words import in_words

A, B = column("a"), column("b")
ONE = op("eq", A, constant(1))


@pytest.mark.parametrize(
    ("document", "read", "written"),
    [
        (ONE, "a = 1", ".a == 1"),
        (op("and", op("or", A, B), ONE), "(a or b) and a = 1", "(.a or .b) and .a == 1"),
        (op("and", op("and", A, B), op("not", ONE)), "a and b and not a = 1", ".a and .b and not .a == 1"),
        (op("sub", A, op("sub", B, constant(1.5))), "a - (b - 1.5)", ".a - (.b - 1.5)"),
        (op("mul", op("add", A, B), constant(2)), "(a + b) * 2", "(.a + .b) * 2"),
        (op("neg", op("add", A, B)), "-(a + b)", "-(.a + .b)"),
        (op("contains", A, constant("x")), "contains(a, x)", 'contains(.a, "x")'),
        (op("max", A, over=["group"]), "max(a, over = group)", "max(.a, over = group)"),
        (op("count", over=["group"]), "count(over = group)", "count(over = group)"),
    ],
)
def test_in_words(document: dict[str, Any], read: str, written: str) -> None:
    assert (in_words(document), in_words(document, dotted=True)) == (read, written)
