"""The head of the call that is being written, and which of its arguments."""

from __future__ import annotations

from lsprotocol import types as lsp

from ptc.lang.cursor import cursor
from ptc.lsp import describing
from ptc.lsp.arguments import parameters, shown
from ptc.lsp.documents import Document


def signature(document: Document, offset: int) -> lsp.SignatureHelp | None:
    """The parameters of the innermost call with their defaults."""
    here = cursor(document.source.text, offset)
    if here.call is None or here.where in ("comment", "string"):
        return None
    known = parameters(document, here.call, offset)
    if not known:
        return None
    heads = [shown(parameter) for parameter in known]
    active = here.position
    if here.label is not None:
        active = next((n for n, parameter in enumerate(known) if parameter.name == here.label), len(known))
    described = [
        lsp.ParameterInformation(head, _markdown(describing.argument(here.call.name, parameter.name)))
        for head, parameter in zip(heads, known, strict=True)
    ]
    text = f"{here.call.name}({', '.join(heads)})"
    return lsp.SignatureHelp([lsp.SignatureInformation(text, parameters=described)], 0, active)


def _markdown(text: str | None) -> lsp.MarkupContent | None:
    return lsp.MarkupContent(lsp.MarkupKind.Markdown, text) if text else None
