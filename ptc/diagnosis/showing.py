"""A diagnosis on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ptc.diagnosis.document import Diagnosis, Number

COLOURS = {"none": "green", "undetermined": "yellow"}
SHARES = {
    "right_but_not_read": "right answers judged wrong, less chance",
    "parse_rate": "attempts in which an answer is found",
    "finished": "attempts that end by themselves",
    "unsolved": "prompts without a right attempt (u)",
    "informative_rate": "groups of 8 with right and wrong",
    "deployed_pass_1": "pass@1 as the eval samples",
    "sampling_gap": "pass@k - pass@1 at the largest k",
    "few_answers": "attempts that are one of few answers (1 per 8 prompts)",
    "bottleneck_below_epsilon": "unsolved prompts with a token below epsilon",
    "early_help": "gain in pass@8 from half the reference",
    "exposure_gap": "exposure gap: teacher-forced - free-running",
}
NATS = {
    "informedness": "verifier: J = TPR - FPR",
    "entropy_per_token": "entropy per token, nats",
    "answer_entropy": "entropy of answers per prompt, nats",
    "reference_nats_per_token": "references: nats per token",
    "reference_excess_unsolved": "references beyond own entropy, unsolved",
}


def show(console: Console, found: Diagnosis) -> None:
    colour = COLOURS.get(found.bottleneck, "bold red")
    console.print()
    console.print(
        Text.assemble((f"{found.model}", "bold"), f" on {found.eval}: ", (found.bottleneck, colour), f", {found.sure}")
    )
    _say(console, "", found.summary)
    _say(
        console,
        "",
        f"{found.prompts} prompts, {found.samples} attempts each at temperature {found.temperature:g}"
        f" (deployed at {found.deployed_temperature:g}), judged by {found.verifier}; "
        f"epsilon = {found.epsilon:.1%}: what is less likely may have been missed",
        "dim",
    )
    console.print(_reasons(found))
    console.print(_numbers(found))
    for title, lines in (("e.g.", found.examples), ("open", found.open), ("next", found.next)):
        for line in lines:
            _say(console, title, line)
    if found.remedy is not None:
        _say(console, "try", f"{found.remedy.words}; this checks behind your program:")
        imports = [f"{line}  # at the top" for line in found.remedy.imports.splitlines()]
        console.print()
        for line in (*imports, *found.remedy.text.splitlines()):
            console.print(Text(f"    {line}".rstrip()), soft_wrap=True)


def _say(console: Console, lead: str, text: str, style: str = "") -> None:
    """A sentence that goes on under itself, behind a word that says what it is."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=6)
    grid.add_column()
    grid.add_row(f"  {lead}", Text(text, style))
    console.print(grid)


def _reasons(found: Diagnosis) -> Table:
    table = Table(
        box=None, pad_edge=False, padding=(0, 2), title="decided on", title_justify="left", title_style="italic"
    )
    for name in ("", "measured", "limit", ""):
        table.add_column(name)
    for reason in found.reasons:
        limit = "" if reason.threshold is None else f"{reason.threshold:g} ({reason.source})"
        table.add_row(
            f"  {reason.words}",
            _plain(reason.number),
            limit,
            "clear" if reason.sure else "the interval holds the limit",
        )
    return table


def _numbers(found: Diagnosis) -> Table:
    table = Table(
        box=None, pad_edge=False, padding=(0, 2), title="measured", title_justify="left", title_style="italic"
    )
    for name in ("", ""):
        table.add_column(name)
    for name, value in _lines(found):
        table.add_row(f"  {name}", value)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2), title=title, title_justify="left", title_style="italic")
    for name in columns:
        table.add_column(name)
    return table


def _lines(found: Diagnosis) -> Iterator[tuple[str, str]]:
    if found.pass_at_k:
        yield "pass@k", "  ".join(f"{k}: {value.value:.0%}" for k, value in found.pass_at_k.items())
    for name, words in SHARES.items():
        if name in found.numbers:
            yield words, _share(found.numbers[name])
    for name, words in NATS.items():
        if name in found.numbers:
            yield words, _plain(found.numbers[name])
    if found.oracle_prefix:
        curve = "  ".join(f"{share:.0%}: {value.value:.0%}" for share, value in found.oracle_prefix.items())
        yield "pass@8 with a share of the reference given", curve
    for each in found.earlier:
        yield f"{each.name}: pass@1, pass@k before", f"{_share(each.pass_1)}, {_share(each.pass_k)}"


def _share(value: Number) -> str:
    return f"{value.value:.1%} [{value.low:.1%}, {value.high:.1%}]"


def _plain(value: Number) -> str:
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
