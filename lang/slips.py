"""Slips in this language's own spelling: a comma too few, a word that opens no statement, a value that is missing."""

from __future__ import annotations

import re
from collections.abc import Callable

from ptc.lang import mistakes
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.expectations import END, NAMED, WORDS
from ptc.lang.keywords import CLAIMS, KEYWORDS
from ptc.lang.source import Span
from ptc.lang.stop import Stop, after
from ptc.lang.suggest import closest, did_you_mean


def _reserved(stop: Stop) -> Diagnostic | None:
    """A word of the language where a name is declared, or as the name of a setting."""
    if stop.found.lower() not in KEYWORDS and stop.found != "IMPORT_FROM":
        return None
    follows = re.match(r"[ \t]*(=(?!=)|:)", stop.source.text[stop.end :])
    before = stop.text(stop.before())
    if stop.wanted == {"NAME"} and (before in NAMED or before == ","):
        if before in (*CLAIMS, "import", "by"):
            return None
        if stop.begins_line(stop.place) and not follows:
            return None
        what = NAMED.get(before, "a name").removeprefix("a name for ").removeprefix("the name of ")
        return mistakes.reserved_word(stop.word, stop.place, what)
    if "NAME" in stop.accepted and follows and stop.wanted & {"NAME", "STATEMENT"}:
        return mistakes.reserved_word(stop.word, stop.place, "a setting" if follows[1] == "=" else "a parameter")
    return None


def _equals(stop: Stop) -> Diagnostic | None:
    """`:` or `==` for `=`, `=` for `==` or `:`."""
    if stop.found == "COLON" and "EQUAL" in stop.accepted:
        return mistakes.other_spelling(":", stop.place, "a value is given with `=`", "write  =")
    if stop.word == "==" and "EQUAL" in stop.accepted:
        return mistakes.other_spelling("==", stop.place, "a value is given with one `=`", "write  =")
    if stop.found == "EQUAL" and stop.accepted == {"COLON"}:
        return mistakes.other_spelling("=", stop.place, "a type is given with `:`", "write  name: Real = …")
    if stop.found == "EQUAL" and "COMPARE" in stop.accepted and "STATEMENT" not in stop.wanted:
        return mistakes.other_spelling("=", stop.place, "two values are compared with `==`", "write  ==")
    return None


def _separator(stop: Stop) -> Diagnostic | None:
    if stop.found == "COMMA" and "STATEMENT" in stop.wanted:
        return mistakes.other_spelling(",", stop.place, "statements need no separator", "leave out the `,`")
    return None


def _missing_comma(stop: Stop) -> Diagnostic | None:
    starts = {"NAME", "FIELD", "NUMBER", "STRING", "LSQB", "IF", "NOT"} | WORDS
    inside = {"COMMA", "RPAR"} <= stop.accepted or {"COMMA", "RSQB"} <= stop.accepted
    if inside and stop.found in starts and "VALUE" not in stop.wanted:
        before = stop.before()
        items = "arguments" if "RPAR" in stop.accepted else "items"
        return mistakes.missing_comma(stop.place, stop.part(before.end, before.end), items)
    return None


def _chained(stop: Stop) -> Diagnostic | None:
    if stop.found == "COMPARE" and "AND" in stop.accepted and "COMPARE" not in stop.accepted:
        return mistakes.chained_comparison(stop.place)
    return None


def _unknown_statement(stop: Stop) -> Diagnostic | None:
    """A first word that opens no statement: `soruce demos = …`, `for x in …`."""
    known = mistakes.STATEMENTS[stop.where]
    if stop.accepted == {"EQUAL", "LPAR"}:
        place = stop.before()
        word = stop.text(place)
        if not stop.begins_line(place) and place.start > stop.first:
            return _unknown_word(stop, word, place)
        on_line = stop.found != "$END" and "\n" not in stop.source.text[place.end : stop.start]
        if word in known or (
            stop.where != "file"
            and (stop.found in ("NUMBER", "STRING") or not on_line)
            and closest(word, known) is None
        ):
            return None
        return mistakes.unknown_statement(word, place, known, stop.where == "stage")
    if stop.accepted == {"RPAR"} and stop.where != "objective":
        return None
    if "STATEMENT" in stop.wanted and "OPERATOR" not in stop.wanted and stop.found in ("IF", "ELSE", "IMPORT"):
        return mistakes.unknown_statement(stop.word, stop.place, known, False)
    return None


def _unknown_word(stop: Stop, word: str, place: Span) -> Diagnostic:
    """A word behind a whole statement, such as `evry` in `watch skill evry 20 steps`."""
    before = stop.before(place.start)
    helps = did_you_mean(word, ("every", "over", "within", "from", "to", "by", "and", "or"))
    return mistakes.expected(
        END, after(stop.text(before)), stop.part(before.end, before.end), f"`{word}`", place, True, helps
    )


SLIPS: tuple[Callable[[Stop], Diagnostic | None], ...] = (
    _reserved,
    _equals,
    _separator,
    _missing_comma,
    _chained,
    _unknown_statement,
)
