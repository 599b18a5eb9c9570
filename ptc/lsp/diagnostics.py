"""What the checker found, as an editor shows it."""

from __future__ import annotations

from pathlib import Path

from lsprotocol import types as lsp

from ptc.explaining import folder
from ptc.lang.diagnostic import Diagnostic, Label
from ptc.lang.source import Source, Span
from ptc.lsp.documents import Document
from ptc.lsp.places import Places

SEVERITIES = {
    "error": lsp.DiagnosticSeverity.Error,
    "warning": lsp.DiagnosticSeverity.Warning,
    "note": lsp.DiagnosticSeverity.Information,
}


def diagnostics(document: Document) -> list[lsp.Diagnostic]:
    return [_shown(diagnostic, document) for diagnostic in document.result.diagnostics]


def place(diagnostic: Diagnostic, document: Document) -> Span:
    """Where a finding is underlined: at its first place in this file; without one, at the first line."""
    own = next((label.span for label in diagnostic.labels if _is_here(label, document)), None)
    if own is None:
        return Span(0, len(document.source.line(1)))
    return own if own.end > own.start else _widened(own, document.source)


def _shown(diagnostic: Diagnostic, document: Document) -> lsp.Diagnostic:
    first = next((label for label in diagnostic.labels if _is_here(label, document)), None)
    page = folder() / f"{diagnostic.code}.md"
    return lsp.Diagnostic(
        range=document.places.range(place(diagnostic, document)),
        message=message(diagnostic, first),
        severity=SEVERITIES[diagnostic.severity],
        code=diagnostic.code,
        code_description=lsp.CodeDescription(page.resolve().as_uri()) if page.is_file() else None,
        source="ptc",
        tags=[lsp.DiagnosticTag.Unnecessary] if diagnostic.name.startswith("unused-") else None,
        related_information=[_related(label, document) for label in diagnostic.labels if label is not first],
    )


def message(diagnostic: Diagnostic, first: Label | None) -> str:
    """The title, what is to be seen at the place itself, and the notes and helps."""
    lines = [diagnostic.title]
    if first is not None and first.text:
        lines.append(f"here: {first.text}")
    lines += [f"note: {note}" for note in diagnostic.notes]
    lines += [f"help: {help_}" for help_ in diagnostic.helps]
    return "\n".join(lines)


def _related(label: Label, document: Document) -> lsp.DiagnosticRelatedInformation:
    return lsp.DiagnosticRelatedInformation(location(label.span, document), label.text or "see here")


def location(span: Span, document: Document) -> lsp.Location:
    """A place in this file, or in another that the program brings in."""
    text = span.text
    if text is None or text is document.source:
        return lsp.Location(document.uri, document.places.range(span))
    return lsp.Location(file_of(text).as_uri(), Places(text, document.encoding).range(span))


def file_of(text: Source) -> Path:
    """The file of a text: of the library's, where it is installed."""
    inside = text.path.removeprefix("std/")
    library = Path(__file__).parents[1] / "stdlib"
    return (library / inside if inside != text.path else Path(text.path)).resolve()


def _is_here(label: Label, document: Document) -> bool:
    return label.span.text is None or label.span.text is document.source


def _widened(span: Span, source: Source) -> Span:
    """A place between two characters, made wide enough to be seen: the one after it, else the one before."""
    after = source.text[span.start : span.start + 1]
    if after and after != "\n":
        return Span(span.start, span.start + 1)
    return Span(max(span.start - 1, 0), span.start)
