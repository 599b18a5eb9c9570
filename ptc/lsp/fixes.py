"""Quick fixes: a help line applied, if the checker says that it helps.

Of all readings of a help line the first is offered after which the finding is gone and nothing is wrong at the places
that were changed. Where there is none, nothing is offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from ptc.lang.diagnostic import Diagnostic
from ptc.lsp.candidates import Edits, candidates, code_of, is_order
from ptc.lsp.documents import Document

READINGS = 12
"""How many readings of one help line are tried: each is a check of the whole program."""


HIDING = "SN"
"""Families of findings that keep the checker from looking further."""
IMPLIED = {"S118": ("add the missing `,`",)}
"""Helps that go without saying."""


@dataclass(frozen=True)
class Fix:
    title: str
    edits: Edits


def fixes(document: Document, diagnostic: Diagnostic) -> Iterator[Fix]:
    """The fixes of one finding, in the order of its help lines."""
    seen: set[str] = set()
    for help_ in diagnostic.helps or IMPLIED.get(diagnostic.code, ()):
        for edits in islice(candidates(document, diagnostic, help_), READINGS):
            text = applied(document.source.text, edits)
            if text not in seen and _helps(document, diagnostic, edits, text):
                seen.add(text)
                yield Fix(_title(help_), edits)
                break


def applied(text: str, edits: Edits) -> str:
    """A text with its edits made; where two stand at one place, in their order."""
    done, pieces = 0, []
    for edit in sorted(edits, key=lambda edit: edit.start):
        pieces += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*pieces, text[done:]])


def _helps(document: Document, diagnostic: Diagnostic, edits: Edits, text: str) -> bool:
    """Whether the finding is gone, and nothing else is wrong now.

    What was hidden behind a mistake of spelling may show, only not inside what was changed, and no such mistake. Any
    other finding must not come back in other words.
    """
    after = replace(document, text=text)
    hiding = diagnostic.code[0] in HIDING
    keys: list[tuple[str, ...]] = [_key(diagnostic)] if hiding else [_key(diagnostic), (diagnostic.code,)]
    if any(_count(after, key) >= _count(document, key) for key in keys):
        return False
    known = {_key(each) for each in document.result.diagnostics}
    errors = [each for each in after.result.diagnostics if each.severity == "error" and _key(each) not in known]
    if not errors or not hiding:
        return not errors
    changed = list(_places(edits))
    return not any(
        error.code[0] == "S" or (start <= label.span.start and label.span.end <= end)
        for error in errors
        for label in error.labels[:1]
        for start, end in changed
    )


def _places(edits: Edits) -> Iterator[tuple[int, int]]:
    """Where the edits stand in the text after them."""
    moved = 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        start = edit.start + moved
        yield start, start + len(edit.text)
        moved += len(edit.text) - (edit.end - edit.start)


def _key(diagnostic: Diagnostic) -> tuple[str, str]:
    return diagnostic.code, diagnostic.title


def _count(document: Document, key: tuple[str, ...]) -> int:
    """How many findings have that code, or code and title."""
    return sum(_key(each)[: len(key)] == key for each in document.result.diagnostics)


def _title(help_: str) -> str:
    """What will be done."""
    if is_order(help_):
        order = re.split(r"[,:;] ", help_)[0]
        return order[0].upper() + order[1:]
    return f"{'Replace with' if 'did you mean' in help_ else 'Write'} `{code_of(help_)}`"
