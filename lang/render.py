"""Diagnostics as text for people: the title, the places in their lines, the reasons, what to type instead."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from ptc.lang.diagnostic import Diagnostic, Label
from ptc.lang.source import Source

_WIDEST = 140
"""Columns of source shown of a line; of a longer one, the part around its labels."""
_TAB = 4
_CLOSE = 2
"""Lines at most this far apart are shown with what stands between them."""

_STYLES = {"error": "1;31", "warning": "1;33", "note": "1;36", "frame": "1;34", "title": "1", "second": "1;34"}


@dataclass(frozen=True)
class _Paint:
    """Colours a text for the terminal, if there is one."""

    on: bool

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.on and text else text


@dataclass(frozen=True)
class _Mark:
    """A stretch of one line to underline; columns are zero-based and count characters."""

    line: int
    start: int
    end: int
    text: str
    first: bool


def render(diagnostic: Diagnostic, source: Source | None = None, colour: bool = False) -> str:
    """One diagnostic, without a line break at its end. `source` is the text that its labels point into."""
    paint = _Paint(colour)
    code = f"[{diagnostic.code}]"
    lines = [paint(diagnostic.severity, diagnostic.severity + code) + paint("title", f": {_plain(diagnostic.title)}")]
    places = _by_source(diagnostic.labels, source)
    gutter = max((len(str(_last_line(text, labels))) for text, labels in places), default=1)
    for number, (text, labels) in enumerate(places):
        lines += _snippet(text, labels, diagnostic, number == 0, gutter, paint)
    if diagnostic.notes or diagnostic.helps:
        if places:
            lines.append(paint("frame", f"{' ' * gutter} |"))
        for kind, remarks in (("note", diagnostic.notes), ("help", diagnostic.helps)):
            for remark in remarks:
                head = f"{' ' * gutter} {paint('frame', '=')} {paint('title', kind)}: "
                lines += _hung(head, gutter + 5 + len(kind), remark)
    return "\n".join(lines)


def render_all(diagnostics: Iterable[Diagnostic], source: Source | None = None, colour: bool = False) -> str:
    """All diagnostics, an empty line behind each, and the summary."""
    found = tuple(diagnostics)
    return "".join(f"{render(diagnostic, source, colour)}\n\n" for diagnostic in found) + summary(found)


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """``2 errors, 1 warning``; empty where there is nothing to count."""
    found = [diagnostic.severity for diagnostic in diagnostics]
    counts = [(severity, found.count(severity)) for severity in ("error", "warning", "note")]
    return ", ".join(f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts if count)


# Places --------------------------------------------------------------------------------------------------------------


def _by_source(labels: Iterable[Label], source: Source | None) -> list[tuple[Source, list[Label]]]:
    groups: list[tuple[Source, list[Label]]] = []
    for label in labels:
        text = label.span.text or source
        if text is None:
            continue
        group = next((labels for other, labels in groups if other is text), None)
        if group is None:
            groups.append((text, [label]))
        else:
            group.append(label)
    return groups


def _last_line(source: Source, labels: list[Label]) -> int:
    return max(source.position(min(label.span.start, len(source.text)))[0] for label in labels)


def _snippet(
    source: Source, labels: list[Label], diagnostic: Diagnostic, first: bool, gutter: int, paint: _Paint
) -> list[str]:
    marks = [_mark(source, label, label is diagnostic.labels[0]) for label in labels]
    line, column = source.position(min(labels[0].span.start, len(source.text)))
    arrow = "-->" if first else ":::"
    bar = paint("frame", f"{' ' * gutter} |")
    out = [f"{' ' * gutter}{paint('frame', arrow)} {_plain(source.path)}:{line}:{column}", bar]
    shown = sorted({mark.line for mark in marks})
    previous = None
    for number in shown:
        if previous is not None and number - previous > _CLOSE:
            out.append(paint("frame", f"{' ' * gutter} ..."))
        elif previous is not None:
            for between in range(previous + 1, number):
                out.append(_source_line(between, _cells(source.line(between), 0, ())[0], gutter, paint))
        out += _marked_line(source, number, [m for m in marks if m.line == number], diagnostic, gutter, paint)
        previous = number
    return out


def _mark(source: Source, label: Label, first: bool) -> _Mark:
    start = min(label.span.start, len(source.text))
    line, column = source.position(start)
    end_line, end_column = source.position(min(max(label.span.end, start), len(source.text)))
    end = end_column - 1 if end_line == line else len(source.line(line).rstrip())
    return _Mark(line, column - 1, max(end, column), _plain(label.text), first)


def _source_line(number: int, text: str, gutter: int, paint: _Paint) -> str:
    return f"{paint('frame', f'{number:>{gutter}} |')} {text}".rstrip()


def _marked_line(
    source: Source, number: int, marks: list[_Mark], diagnostic: Diagnostic, gutter: int, paint: _Paint
) -> list[str]:
    """A line of source and the marks under it: the rightmost says its text beside it, the others below."""
    marks = sorted(marks, key=lambda mark: (mark.start, mark.first))
    line = source.line(number)
    left = 0
    if len(line) > _WIDEST:
        left = max(0, min(marks[0].start - 40, len(line) - _WIDEST))
    text, columns = _cells(line, left, tuple({m.start for m in marks} | {m.end for m in marks}))
    out = [_source_line(number, text, gutter, paint)]
    blank = paint("frame", f"{' ' * gutter} |")

    def style(mark: _Mark) -> str:
        return diagnostic.severity if mark.first else "second"

    underline: dict[int, tuple[str, str]] = {}
    for mark in sorted(marks, key=lambda mark: mark.first):
        width = max(columns[mark.end] - columns[mark.start], 1)
        for cell in range(columns[mark.start], columns[mark.start] + width):
            underline[cell] = ("^" if mark.first else "-", style(mark))
    carets = _drawn(underline, paint)
    last = marks[-1]
    inline = all(other.end <= last.start for other in marks[:-1]) and bool(last.text)
    out.append(f"{blank} {carets}{' ' + paint(style(last), last.text) if inline else ''}".rstrip())
    rest = [mark for mark in (marks[:-1] if inline else marks) if mark.text]
    for place in range(len(rest) - 1, -1, -1):
        mark = rest[place]
        bars = {columns[other.start]: ("|", style(other)) for other in rest[:place]}
        row = _drawn({c: v for c, v in bars.items() if c < columns[mark.start]}, paint)
        gap = columns[mark.start] - (max((c for c in bars if c < columns[mark.start]), default=-1) + 1)
        if place == len(rest) - 1:
            out.append(f"{blank} {_drawn({**bars, columns[mark.start]: ('|', style(mark))}, paint)}")
        out.append(f"{blank} {row}{' ' * gap}{paint(style(mark), mark.text)}")
    return out


def _drawn(cells: dict[int, tuple[str, str]], paint: _Paint) -> str:
    """Signs at their columns, with blanks between them."""
    out: list[str] = []
    column = 0
    run, run_style = "", ""
    for cell in sorted(cells):
        sign, style = cells[cell]
        if cell > column or style != run_style:
            out += [paint(run_style, run), " " * (cell - column)] if run else [" " * (cell - column)]
            run, run_style = "", style
        run += sign
        column = cell + 1
    return "".join([*out, paint(run_style, run) if run else ""])


def _cells(line: str, left: int, wanted: tuple[int, ...]) -> tuple[str, dict[int, int]]:
    """The part of a line that is shown, and the screen columns of the wanted character columns in it."""
    out: list[str] = []
    at: dict[int, int] = {}
    width = 0
    if left:
        out.append("…")
        width = 1
    for number in range(left, len(line)):
        at[number] = width
        char = line[number]
        if width >= _WIDEST and number < len(line) - 1:
            out.append("…")
            break
        shown = " " * _TAB if char == "\t" else _visible(char)
        out.append(shown)
        width += sum(_width(c) for c in shown)
    end = width
    return "".join(out).rstrip(), {column: at.get(column, end if column >= left else 0) for column in wanted}


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _visible(char: str) -> str:
    return char if char.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _plain(text: str) -> str:
    """Text without characters that would do something to a terminal."""
    return "".join(_visible(char) if char != "\n" else " " for char in text)


def _hung(head: str, indent: int, remark: str) -> list[str]:
    """A remark of one or more lines, the later ones under the first."""
    first, *others = remark.split("\n")
    return [f"{head}{_plain(first)}", *(f"{' ' * indent}{_plain(line)}".rstrip() for line in others)]
