"""A graph written as JSON reads back as the same graph."""

from __future__ import annotations

import json

import pytest
from graph_programs import SPELLING, graph

from ptc.compiler.graph_document import from_document, to_document


@pytest.mark.parametrize("text", [SPELLING, SPELLING + "protect skill within 3 points from reasoner\n"])
def test_round_trip(text: str) -> None:
    made = graph(text)
    read = from_document(json.loads(json.dumps(to_document(made))))
    assert read == made and list(read.nodes) == list(made.nodes)
    assert all(node.meaning == meaning for meaning, node in read.nodes.items())
    assert any(node.watches for node in read.nodes.values())


def test_another_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="schema 99"):
        from_document({**to_document(graph(SPELLING)), "schema": 99})
