"""Every word, setting and function of the language is documented, and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ptc.compiler import glossary, rows
from ptc.compiler.mathematics.columns import AXES
from ptc.compiler.mathematics.functions import KNOWN
from ptc.compiler.settings import SETTINGS
from ptc.lang.keywords import KEYWORDS
from ptc.lsp import vocabulary


@pytest.mark.parametrize(
    ("documented", "known"),
    [
        (glossary.KEYWORDS, KEYWORDS),
        (glossary.SETTINGS, SETTINGS),
        (glossary.ROWS, {*rows.FUNCTIONS, *rows.REDUCTIONS}),
        (glossary.LOSS, KNOWN),
        (glossary.AXES, AXES),
    ],
    ids=["keywords", "settings", "rows", "loss", "axes"],
)
def test_words_are_documented(documented: Mapping[str, object], known: frozenset[str]) -> None:
    assert set(documented) == set(known)


def test_functions_are_documented() -> None:
    kinds = [kind for kind in vocabulary.EVERYWHERE if kind not in ("row", "loss")]
    functions = {name: function for kind in kinds for name, function in vocabulary.of(kind).items()}
    assert {name for name, function in functions.items() if not function.doc} == set()
    assert set(glossary.FUNCTIONS) <= set(functions)
    assert set(glossary.CHECKPOINTS) == set(vocabulary.of("checkpoint"))


def test_heads_say_the_defaults_that_a_program_would_write() -> None:
    sample = vocabulary.of("step")["sample"]
    assert sample.head.startswith("sample(model, n = 1, temperature = 1, top_p = 1, top_k = 0, max_tokens = 512")
    assert "max_lag = 0 steps" in sample.head
    assert 'schedule = "constant"' in vocabulary.of("optimizer")["adamw"].head
