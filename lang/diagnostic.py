"""Diagnostics are values: what is wrong, where, where the other half of the reason stands, and what to type instead.

A diagnostic names no file layout and no colour; `lang.render` draws it, `to_json` hands it to tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ptc.lang.source import Source, Span

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Label:
    """A place and what is to be seen there. The first label of a diagnostic is where to look, the others say why."""

    span: Span
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """One finding. `code` is a family letter and a number, such as ``P201``; `name` is its kebab-case name."""

    code: str
    name: str
    severity: Severity
    title: str
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()

    @property
    def span(self) -> Span | None:
        return self.labels[0].span if self.labels else None

    def to_json(self, source: Source) -> dict[str, Any]:
        """A plain document for editors and scripts, with one-based lines and columns."""

        def place(label: Label) -> dict[str, Any]:
            text = label.span.text or source
            line, column = text.position(label.span.start)
            end_line, end_column = text.position(label.span.end)
            return {
                "path": text.path,
                "line": line,
                "column": column,
                "end_line": end_line,
                "end_column": end_column,
                "text": label.text,
            }

        return {
            "code": self.code,
            "name": self.name,
            "severity": self.severity,
            "title": self.title,
            "path": source.path,
            "labels": [place(label) for label in self.labels],
            "notes": list(self.notes),
            "helps": list(self.helps),
        }
