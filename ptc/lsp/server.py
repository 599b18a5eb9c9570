"""`ptc lsp`: the language server, on standard input and output.

Every change brings the whole text: programs are short, and client and server can then not disagree about what is
written. What is worked out of a version is kept with it (`documents`); what lies around a program is looked at when
it is opened, and when something is saved.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from ptc.api import surroundings
from ptc.compiler.catalogue import Catalogue
from ptc.lang.format import CannotFormat
from ptc.lang.format import format as lay_out
from ptc.lang.source import Span
from ptc.lsp import calling, completion, diagnostics, fixes, hover, navigation, renaming
from ptc.lsp.candidates import Edits
from ptc.lsp.colours import LEGEND, colours
from ptc.lsp.documents import Document
from ptc.lsp.items import Item

Found = TypeVar("Found")
PAUSE = 0.05
"""Seconds without a change after which a text is checked."""


class Placed(Protocol):
    """A request about one place of a file."""

    text_document: lsp.TextDocumentIdentifier
    position: lsp.Position


class Refused(JsonRpcException):
    """What was asked for cannot be done, and the sentence says why."""

    CODE = lsp.LSPErrorCodes.RequestFailed.value
    MESSAGE = "Refused"


class Server(LanguageServer):
    """Holds the open files."""

    def __init__(self) -> None:
        super().__init__("ptc", version("ptc"), text_document_sync_kind=lsp.TextDocumentSyncKind.Full)
        self._documents: dict[str, Document] = {}
        self._around: dict[str, Catalogue] = {}
        self._waiting: dict[str, asyncio.TimerHandle] = {}

    def document(self, uri: str) -> Document:
        """An open file as it stands now."""
        text = self.workspace.get_text_document(uri)
        known = self._documents.get(uri)
        if known is None or known.version != text.version or known.text != text.source:
            path, encoding = path_of(uri), str(self.workspace.position_encoding)
            if uri not in self._around:
                self._around[uri] = surroundings(path)
            known = Document(uri, path, text.source, text.version, encoding, self._around[uri])
            self._documents[uri] = known
        return known

    def opened(self) -> Mapping[Path, Document]:
        return {Path(path_of(uri)).resolve(): self.document(uri) for uri in self.workspace.text_documents}

    def look_again(self) -> None:
        """Files around the programs may have changed: all that is open is checked anew."""
        self._documents.clear()
        self._around.clear()
        for uri in self.workspace.text_documents:
            self.publish(uri)

    def publish_soon(self, uri: str) -> None:
        """Checks when the writing pauses: of letters that follow each other at once only the last one counts."""
        self._stop_waiting(uri)
        self._waiting[uri] = asyncio.get_running_loop().call_later(PAUSE, self.publish, uri)

    def publish(self, uri: str) -> None:
        self._stop_waiting(uri)
        document = self.document(uri)
        found = diagnostics.diagnostics(document)
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, found, document.version))

    def close(self, uri: str) -> None:
        self._stop_waiting(uri)
        self._documents.pop(uri, None)
        self._around.pop(uri, None)
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, []))

    def _stop_waiting(self, uri: str) -> None:
        timer = self._waiting.pop(uri, None)
        if timer is not None:
            timer.cancel()


def path_of(uri: str) -> str:
    """The file of an URI; for a text that is in no file yet, a name for messages."""
    parts = urlsplit(uri)
    return unquote(parts.path) if parts.scheme == "file" else "program.pt"


def serve() -> int:
    """Answers until the client leaves."""
    # pygls logs what is answered with an error; a refusal is no error of the server's.
    logging.getLogger("pygls").addFilter(_is_no_refusal)
    logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_no_refusal)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is no message of the protocol
        server().start_io(stdout=out)
    return 0


def _is_no_refusal(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], Refused))


def server() -> Server:
    """The server with all that it can do."""
    made = Server()
    for add in (_opening, _reading, _going, _changing, _writing):
        add(made)
    return made


# Opening and changing ------------------------------------------------------------------------------------------------


def _opening(ls: Server) -> None:
    @ls.feature(lsp.INITIALIZE)
    def initialize(params: lsp.InitializeParams) -> None:
        """Data files are named relative to the folder that a run would start in: here, the workspace's."""
        folders = [folder.uri for folder in params.workspace_folders or ()]
        root = next((uri for uri in (*folders, params.root_uri) if uri), None)
        if root is not None and os.path.isdir(path_of(root)):
            os.chdir(path_of(root))

    @ls.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        ls.publish(params.text_document.uri)

    @ls.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        ls.publish_soon(params.text_document.uri)

    @ls.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: lsp.DidSaveTextDocumentParams) -> None:
        ls.look_again()

    @ls.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def changed_outside(params: lsp.DidChangeWatchedFilesParams) -> None:
        ls.look_again()

    @ls.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        ls.close(params.text_document.uri)


# Reading -------------------------------------------------------------------------------------------------------------


def _reading(ls: Server) -> None:
    @ls.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hovered(params: lsp.HoverParams) -> lsp.Hover | None:
        document, offset = at(ls, params)
        found = hover.hover(document, offset)
        if found is None:
            return None
        text, place = found
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text), document.places.range(place))

    @ls.feature(lsp.TEXT_DOCUMENT_SIGNATURE_HELP, lsp.SignatureHelpOptions(["(", ","]))
    def signature(params: lsp.SignatureHelpParams) -> lsp.SignatureHelp | None:
        return calling.signature(*at(ls, params))

    @ls.feature(lsp.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, lsp.SemanticTokensRegistrationOptions(LEGEND, full=True))
    def coloured(params: lsp.SemanticTokensParams) -> lsp.SemanticTokens:
        return colours(ls.document(params.text_document.uri))

    @ls.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def outline(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        return navigation.outline(ls.document(params.text_document.uri))


def _going(ls: Server) -> None:
    @ls.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def definition(params: lsp.DefinitionParams) -> lsp.Location | None:
        return navigation.definition(*at(ls, params))

    @ls.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    def references(params: lsp.ReferenceParams) -> list[lsp.Location]:
        document, offset = at(ls, params)
        places = navigation.references(document, offset, params.context.include_declaration)
        return [lsp.Location(document.uri, document.places.range(place)) for place in places]

    @ls.feature(lsp.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    def highlights(params: lsp.DocumentHighlightParams) -> list[lsp.DocumentHighlight]:
        document, offset = at(ls, params)
        places = navigation.references(document, offset, declaration=True)
        return [lsp.DocumentHighlight(document.places.range(place)) for place in places]


# Writing -------------------------------------------------------------------------------------------------------------


def _writing(ls: Server) -> None:
    @ls.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(list('.>(,@" ')))
    def complete(params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        document, offset = at(ls, params)
        typed = params.context.trigger_character if params.context is not None else None
        found, word = completion.complete(document, offset, typed)
        whole = _takes_snippets(ls.client_capabilities)
        return [_proposal(item, document, word, whole) for item in found]

    @ls.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatted(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        document = ls.document(params.text_document.uri)
        try:
            text = lay_out(document.tree)
        except CannotFormat:
            return None
        unread = document.result.checked is None
        return None if unread or text == document.text else [lsp.TextEdit(document.places.whole(), text)]


def _proposal(item: Item, document: Document, word: Span, snippets: bool) -> lsp.CompletionItem:
    text = item.insert or item.label
    has_blanks = "${" in text
    return lsp.CompletionItem(
        label=item.label,
        kind=item.kind,
        detail=item.detail or None,
        documentation=lsp.MarkupContent(lsp.MarkupKind.Markdown, item.doc) if item.doc else None,
        sort_text=f"{item.order}{item.label}",
        insert_text_format=lsp.InsertTextFormat.Snippet if snippets and has_blanks else lsp.InsertTextFormat.PlainText,
        text_edit=lsp.TextEdit(document.places.range(word), text if snippets else _filled(text)),
        additional_text_edits=_edits(document, item.edits) or None,
    )


def _takes_snippets(client: lsp.ClientCapabilities) -> bool:
    asked = client.text_document.completion if client.text_document is not None else None
    return bool(asked and asked.completion_item and asked.completion_item.snippet_support)


def _filled(text: str) -> str:
    """A snippet for editors that know none: the blanks as they are usually filled."""
    return re.sub(r"\$\{\d+:?([^}]*)\}", r"\1", text)


def _edits(document: Document, edits: Edits) -> list[lsp.TextEdit]:
    return [lsp.TextEdit(document.places.range(Span(edit.start, edit.end)), edit.text) for edit in edits]


# Changing ------------------------------------------------------------------------------------------------------------


def _changing(ls: Server) -> None:
    @ls.feature(lsp.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare(params: lsp.PrepareRenameParams) -> lsp.PrepareRenamePlaceholder:
        document, offset = at(ls, params)
        symbol, word = _or_sentence(lambda: renaming.renameable(document, offset))
        return lsp.PrepareRenamePlaceholder(document.places.range(word), symbol.name)

    @ls.feature(lsp.TEXT_DOCUMENT_RENAME, lsp.RenameOptions(prepare_provider=True))
    def rename(params: lsp.RenameParams) -> lsp.WorkspaceEdit:
        document, offset = at(ls, params)
        found = _or_sentence(lambda: renaming.renamed(document, offset, params.new_name, ls.opened()))
        changes = {
            each.uri: [lsp.TextEdit(each.places.range(place), params.new_name) for place in places]
            for each, places in found.items()
        }
        return lsp.WorkspaceEdit(changes=changes)

    @ls.feature(lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix]))
    def actions(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        document = ls.document(params.text_document.uri)
        start, end = document.places.offset(params.range.start), document.places.offset(params.range.end)
        return list(_actions(document, start, end))


def _actions(document: Document, start: int, end: int) -> Iterator[lsp.CodeAction]:
    """The fixes of what is underlined in a range."""
    shown = diagnostics.diagnostics(document)
    for diagnostic, underlined in zip(document.result.diagnostics, shown, strict=True):
        place = diagnostics.place(diagnostic, document)
        if place.start <= end and start <= place.end:
            offered = list(fixes.fixes(document, diagnostic))
            for fix in offered:
                yield lsp.CodeAction(
                    title=fix.title,
                    kind=lsp.CodeActionKind.QuickFix,
                    diagnostics=[underlined],
                    is_preferred=len(offered) == 1,
                    edit=lsp.WorkspaceEdit(changes={document.uri: _edits(document, fix.edits)}),
                )


def _or_sentence(found: Callable[[], Found]) -> Found:
    """A refusal is told to the user as it stands."""
    try:
        return found()
    except renaming.CannotRename as refusal:
        raise Refused(str(refusal)) from None


def at(ls: Server, params: Placed) -> tuple[Document, int]:
    """The file and the offset that a request is about."""
    document = ls.document(params.text_document.uri)
    return document, document.places.offset(params.position)
