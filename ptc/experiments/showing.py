"""A comparison in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ptc.experiments.comparison import ClaimResult, Comparison, Range, Result, Row
from ptc.progress import duration
from ptc.runtime.bills import amount

SHARES = frozenset({"pass@1", "win rate"})
"""Metrics that are shares: told in percent, and their changes in points."""


def show(console: Console, comparison: Comparison) -> None:
    """The table of rows, the claims where they differ, what makes runs unlike, and what to read with the numbers."""
    console.print(_table(comparison))
    claims = list(claim_lines(comparison))
    if claims:
        console.print()
        for line in claims:
            console.print(Text(line), soft_wrap=True)
    for row in comparison.rows:
        for message in row.messages:
            console.print(Text(f"\n{row.name}: {message}"), soft_wrap=True)
    for text in comparison.rendered:
        console.print()
        console.print(Text(text), soft_wrap=True)
    console.print()
    for note in (*comparison.left_out, *comparison.notes):
        console.print(Text(f"note: {note}"), soft_wrap=True)


def _table(comparison: Comparison) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold")
    for head in heads(comparison):
        table.add_column(head, justify="right", no_wrap=True)
    for row in comparison.rows:
        table.add_row(Text(row.name), *map(Text, cells(comparison, row)))
    return table


def heads(comparison: Comparison) -> Iterator[str]:
    """The columns behind the name of a row."""
    if any(len(row.seeds) > 1 for row in comparison.rows):
        yield "seeds"
    for name in comparison.evals:
        metric = next(each.metric for row in comparison.rows for each in row.results if each.eval == name)
        yield f"{name} {metric}"
        yield "Δ"
        if len(comparison.rows) > 2:
            yield "place"
    yield from ("steps", "tokens", "time", "of its own")


def cells(comparison: Comparison, row: Row) -> Iterator[str]:
    if any(len(each.seeds) > 1 for each in comparison.rows):
        yield str(len(row.seeds)) if row.done == len(row.seeds) else f"{row.done} of {len(row.seeds)}"
    results = {each.eval: each for each in row.results}
    for name in comparison.evals:
        result = results.get(name)
        yield value(result) if result is not None else "–"
        yield change(result) if result is not None else "–"
        if len(comparison.rows) > 2:
            yield place(result) if result is not None else "–"
    spent = row.spent
    yield f"{spent.optimizer_steps:,}"
    yield amount(spent.trained_tokens)
    yield duration(spent.seconds)
    yield duration(spent.seconds_own)


def value(result: Result) -> str:
    return _range(result.value, result.metric, "")


def change(result: Result) -> str:
    """The change at the level of all together."""
    if result.simultaneous is None:
        return "–"
    return _range(result.simultaneous, result.metric, "+")


def _range(range: Range, metric: str, sign: str) -> str:
    scale, form = (100, f"{sign}.1f") if metric in SHARES else (1, f"{sign}.3f")
    return f"{scale * range.value:{form}} [{scale * range.low:{form}}, {scale * range.high:{form}}]"


def place(result: Result) -> str:
    """``1``, or ``1–3`` where the prompts cannot tell."""
    if result.rank is None:
        return "–"
    best, worst = result.rank
    return str(best) if best == worst else f"{best}–{worst}"


def claim_lines(comparison: Comparison) -> Iterator[str]:
    """For each claim what became of it in each row, once for rows that share the stage."""
    found: dict[str, list[tuple[str, ClaimResult]]] = {}
    for row in comparison.rows:
        for claim in row.claims:
            found.setdefault(f"{claim.stage} {claim.role} {claim.eval}", []).append((row.name, claim))
    for title, results in found.items():
        verdicts: dict[tuple[str, ...], list[str]] = {}
        for name, claim in results:
            verdicts.setdefault(claim.words, []).append(name)
        yield title
        for words, names in verdicts.items():
            who = "all" if len(names) == len(comparison.rows) > 1 else ", ".join(names)
            claim = next(claim for _, claim in results if claim.words == words)
            for seed, verdict, said in zip(claim.seeds, claim.verdicts, words, strict=True):
                which = f", seed {seed}" if len(words) > 1 else ""
                yield f"  {who}{which}: {verdict}, {said}"
