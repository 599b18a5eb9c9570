"""A comparison as a page of its own: no script, no address, light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from ptc.experiments.comparison import Comparison
from ptc.experiments.showing import cells, claim_lines, heads

STYLE = """
:root { color-scheme: light dark; --fore: #1d1d1f; --back: #fff; --line: #d5d5da; --soft: #6b6b70; --wrong: #b3261e }
@media (prefers-color-scheme: dark) {
  :root { --fore: #eaeaec; --back: #151517; --line: #3a3a3f; --soft: #a0a0a6; --wrong: #ff8a80 }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fore); background: var(--back); margin: 2rem auto;
  max-width: 80rem; padding: 0 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 12rem }
pre { white-space: pre-wrap; border-left: 3px solid var(--line); padding: .5rem 1rem; font-size: 13px }
pre.error { border-color: var(--wrong) }
.soft { color: var(--soft) }
svg { max-width: 100%; height: auto }
@media print { body { margin: 0; max-width: none } }
"""


def write_page(comparison: Comparison, path: Path) -> None:
    path.write_text("\n".join(_page(comparison)) + "\n", encoding="utf-8")


def _page(comparison: Comparison) -> Iterator[str]:
    title = escape(comparison.title)
    yield f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>"
    yield f'<p class="soft"><code>{escape(comparison.command)}</code></p>'
    for finding, text in zip(comparison.findings, comparison.rendered, strict=True):
        yield f'<pre class="{escape(finding["severity"])}">{escape(text)}</pre>'
    yield '<div class="wide"><table>'
    yield _line(["run", *heads(comparison)], "th")
    for row in comparison.rows:
        yield _line([row.name, *cells(comparison, row)], "td")
    yield "</table></div>"
    yield from _figures(comparison)
    claims = list(claim_lines(comparison))
    if claims:
        yield f"<h2>Claims</h2>\n<pre>{escape(chr(10).join(claims))}</pre>"
    notes = [
        *(f"{row.name}: {row.note}" for row in comparison.rows if row.note),
        *(f"{row.name}: {message}" for row in comparison.rows for message in row.messages),
        *comparison.left_out,
        *comparison.notes,
    ]
    yield "<h2>To read with it</h2>\n<ul>"
    yield from (f"<li>{escape(note)}</li>" for note in notes)
    yield "</ul>\n</body>\n</html>"


def _line(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _figures(comparison: Comparison) -> Iterator[str]:
    """For each eval the changes against the first row, with the intervals that hold for all together."""
    from ptc.experiments.figure import changes

    for name in comparison.evals:
        figure = changes(comparison, name)
        if figure is not None:
            yield f"<h2>{escape(name)}</h2>\n{figure}"
