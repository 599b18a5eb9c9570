"""The loss of an objective that is written in Python: what it is given, and nothing of what it does with it.

It is given the columns of numbers that its head names, and what each of its models says of each text. So whoever reads
a loss finds in it what any other would hold: which columns and which models it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ptc.compiler.anneal import document
from ptc.compiler.core import Expression, Role
from ptc.compiler.graph import Json
from ptc.compiler.mathematics.bindings import Bindings, Table
from ptc.compiler.mathematics.columns import NO_NUMBERS, PLAIN_TEXTS, SAMPLE, TEXT_COLUMNS, TOKEN_COLUMNS, axes_of
from ptc.compiler.mathematics.forwards import HEADS, axes_asked
from ptc.lang import ast

WORDS = ("Text", "Messages", "List")
"""Types of columns that are no numbers."""
WHOLE: Mapping[str, Callable[[Any], Json]] = {"Int": int, "Bool": bool}
"""Types of numbers of which Python has its own."""
ASKED = {head: function for function, head in HEADS.items() if function != "logp_all"}
"""By its head, what a model says of a text."""


def opaque(declaration: ast.Extern, bindings: Bindings) -> Expression:
    """The loss of an objective that is written in Python."""
    given = {name: role for name, role in bindings.models.items() if role is not None}
    rows = tuple(_rows(table, bindings, tuple(given.values())) for table in bindings.tables.values())
    kinds = {parameter.name.id: parameter.type.name for parameter in declaration.parameters}
    numbers = {name: WHOLE.get(kinds[name], document)(number) for name, number in bindings.numbers.items()}
    fields = {
        "target": declaration.target.value,
        "roles": list(given),
        "absent": [name for name in bindings.models if name not in given],
        "numbers": numbers,
    }
    return Expression("extern", rows, fields, frozenset(), tuple(given.values()))


def _rows(table: Table, bindings: Bindings, models: tuple[Role, ...]) -> Expression:
    """One source: its numbers first, and then text by text what each model says of it. Sources that come prompt by
    prompt have samples in common to be laid out over, others have not."""
    source, numbers, texts = bindings.read_of(table), list(numbers_of(table)), texts_of(table)
    leaves = [Expression("column", (), {"name": name}, axes_of(name), (), source) for name in numbers]
    for text in texts:
        fields: dict[str, object] = {"column": text}
        for model in models:
            function = ASKED[model.type.head]
            asked = {**fields, "temperature": _temperature(table, text)} if function == "logp" else fields
            leaves.append(Expression(function, (), asked, axes_asked(function, text), (model,), source))
    together = any(table.shares_prompts_with(other) for other in bindings.tables.values() if other is not table)
    described = {"name": table.name, "numbers": numbers, "texts": texts}
    return Expression("rows", tuple(leaves), described, SAMPLE if together else frozenset(), (), source)


def numbers_of(table: Table) -> Iterator[str]:
    """The columns of a head that are numbers."""
    for column, stated in table.columns.items():
        kind = stated or table.source.type.type_of(column)
        listed = axes_of(column) != SAMPLE
        if column not in (*NO_NUMBERS, *PLAIN_TEXTS) and (listed or kind not in WORDS):
            yield column


def texts_of(table: Table) -> list[str]:
    """The columns of a head that models are asked about."""
    return [column for column in table.columns if column in TEXT_COLUMNS]


def _temperature(table: Table, text: str) -> float:
    """That of the sampler where its log-probabilities stand beside the text, so that both are of one distribution."""
    sampling = table.source.type.sampling
    beside = any(TOKEN_COLUMNS[column] == text for column in table.columns if column in TOKEN_COLUMNS)
    return sampling.temperature if beside and sampling is not None else 1.0
