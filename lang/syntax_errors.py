"""From the place where reading stopped to a sentence.

What the parser could have gone on with is a set of terminals. `wanted` folds such a set into a few notions (a value,
an operator, a statement, single tokens), and `EXPECTATIONS` has words for every set that can arise; a test walks the
parser's states and proves that none is missing. Before that, `_SLIPS` know the mistakes that people make.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from ptc.lang import mistakes
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.keywords import CLAIMS, DEFINITIONS, KEYWORDS, ROLES
from ptc.lang.source import Source, Span
from ptc.lang.suggest import closest, did_you_mean

_VALUE = frozenset({"NAME", "WHERE", "NUMBER", "STRING", "DOT", "LPAR", "LSQB", "MINUS", "NOT", "IF"})
_OPERATOR = frozenset({"PIPE", "OR", "AND", "COMPARE", "PLUS", "MINUS", "STAR", "SLASH", "LPAR", "DOT", "AT"})
_STATEMENT = frozenset(
    {
        "EDITION", "IMPORT_FROM", "PARAM", "SOURCE", "MODEL", "EVAL", "LET", "STAGE", "OBJECTIVE", "TRAIN", "FREEZE",
        "TRACK", "MINIMIZE", "REQUIRE", "ENSURE", "WATCH", "PROTECT", "ALLOW", "REPORT", "EXPORT", "WHERE", "TYPE",
        "RECIPE", "RETURN", "EXTERN", "NAME", "RBRACE", "$END",
    }
)  # fmt: skip
_WORDS = frozenset(word.upper() for word in KEYWORDS) | {"IMPORT_FROM"}


def wanted(accepted: Collection[str]) -> frozenset[str]:
    """A set of terminals, folded: VALUE, LABEL, OPERATOR and STATEMENT stand for their members."""
    left = frozenset(accepted)
    folded: frozenset[str] = frozenset()
    if left >= _WORDS:
        folded |= {"LABEL"}
        left -= _WORDS
    if {"STRING", "LSQB"} <= left:
        folded |= {"VALUE"}
        left -= _VALUE
    elif left & {"AT", "STAR", "PLUS", "COMPARE", "AND", "OR", "PIPE"}:
        folded |= {"OPERATOR"}
        left -= _OPERATOR
    if "STAGE" in left:
        folded |= {"STATEMENT"}
        left -= _STATEMENT
    return folded | left


_END = "the statement to end"
EXPECTATIONS: dict[frozenset[str], str] = {
    frozenset(row[0].split()): row[1]
    for row in (
        ("STATEMENT", "a statement"),
        ("LPAR", "`(`"),
        ("RPAR", "`)`"),
        ("NUMBER", "a number"),
        ("STRING", "a text in quotes"),
        ("NAME", "a name"),
        ("FIELD", "a name"),
        ("COMMA", "`,`"),
        ("COLON", "`:` and a type"),
        ("EQUAL", "`=` and a value"),
        ("LBRACE", "`{`"),
        ("VALUE", "a value"),
        ("DOT NAME", "the name of a module"),
        ("DOT IMPORT", "`import` and the names to import"),
        ("EQUAL LPAR", "`=` and a value"),
        ("RSQB VALUE", "a value or `]`"),
        ("LABEL RPAR VALUE", "an argument or `)`"),
        ("EQUAL VALUE", "a value"),
        ("EQUAL", "`=` and a value"),
        ("NAME RPAR", "a parameter or `)`"),
        ("FIELD RBRACE", "a column or `}`"),
        ("COMMA RPAR", "`,` or `)`"),
        ("COMMA RBRACE", "`,` or `}`"),
        ("OPERATOR STATEMENT", _END),
        ("OPERATOR TO", "`to` and a path in quotes"),
        ("OPERATOR THEN", "`then` and a value"),
        ("OPERATOR ELSE", "`else` and a value"),
        ("OPERATOR RPAR", "`)`"),
        ("COMMA OPERATOR RSQB", "`,` or `]`"),
        ("COMMA OPERATOR RPAR", "`,` or `)`"),
        ("COMMA EQUAL OPERATOR RPAR", "`,` or `)`"),
        ("FROM OPERATOR STATEMENT WITHIN", f"`within`, `from` or {_END}"),
        ("FROM STATEMENT", f"`from` or {_END}"),
        ("COMMA OPERATOR STATEMENT", f"`,` or {_END}"),
        ("COMMA STATEMENT", f"`,` or {_END}"),
        ("EVERY OPERATOR STATEMENT", f"`every` or {_END}"),
        ("CONSOLIDATES EXPANDS LBRACE RESHAPES", "a claim or `{`"),
        ("COMMA CONSOLIDATES EXPANDS FROM LBRACE RESHAPES", "`{`"),
        ("COMMA CONSOLIDATES EXPANDS LBRACE OPERATOR RESHAPES", "`{`"),
        ("CONSOLIDATES EXPANDS NAME RESHAPES", "an eval or another claim"),
        ("BY EQUAL LBRACE QUESTION STATEMENT WITHIN", f"`=` or {_END}"),
        ("BY EQUAL QUESTION STATEMENT WITHIN", f"`=` or {_END}"),
        ("BY EQUAL STATEMENT WITHIN", f"`=` or {_END}"),
        ("EQUAL STATEMENT WITHIN", f"`=` or {_END}"),
        ("EQUAL STATEMENT", f"`=` or {_END}"),
        ("BY COMMA EQUAL LBRACE QUESTION RPAR WITHIN", "`,`, `=` or `)`"),
        ("BY COMMA EQUAL QUESTION RPAR WITHIN", "`,`, `=` or `)`"),
        ("BY COMMA EQUAL RPAR WITHIN", "`,`, `=` or `)`"),
        ("COMMA EQUAL RPAR WITHIN", "`,`, `=` or `)`"),
        ("COMMA EQUAL RPAR", "`,`, `=` or `)`"),
    )
}

_NAMED: dict[str, str] = {
    **{word: f"a name for the {word}" for word in (*DEFINITIONS, "stage", "objective", "param")},
    **{
        word: f"the name of the role that the stage {verb}"
        for word, verb in zip(ROLES, ("trains", "freezes", "tracks"), strict=True)
    },
    **{word: "the eval that the claim is about" for word in CLAIMS},
    "import": "the names to import",
    "by": "the name of the role that samples",
}


@dataclass(frozen=True)
class Stop:
    """Where reading stopped: what stands there, and what could have stood there."""

    source: Source
    accepted: frozenset[str]
    found: str
    """Its terminal, ``$END`` at the end of the piece, or ``?`` for a character of no terminal."""
    start: int
    end: int
    where: str = "file"
    """What the piece stands in: ``file``, ``stage``, ``objective`` or ``recipe``."""
    first: int = 0
    """Where the piece begins."""

    @property
    def word(self) -> str:
        return self.source.text[self.start : self.end]

    def part(self, start: int, end: int) -> Span:
        return Span(start, end, self.source)

    @property
    def place(self) -> Span:
        return self.part(self.start, self.end)

    @property
    def wanted(self) -> frozenset[str]:
        return wanted(self.accepted)

    def before(self, offset: int | None = None) -> Span:
        """The word or sign before an offset, which is that of the stop itself unless said."""
        text = self.source.text
        end = self.start if offset is None else offset
        while True:
            end = len(text[self.first : end].rstrip()) + self.first
            line_start = max(text.rfind("\n", self.first, end) + 1, self.first)
            comment = _comment(text[line_start:end])
            if comment is None:
                break
            end = line_start + comment
        token = _LAST_TOKEN.search(text, self.first, end)
        return self.part(token.start(), end) if token else self.part(self.first, self.first)

    def same_line(self, span: Span) -> bool:
        return "\n" not in self.source.text[span.end : self.start]

    def text(self, span: Span) -> str:
        return self.source.text[span.start : span.end]

    def begins_line(self, span: Span) -> bool:
        line, column = self.source.position(span.start)
        return not self.source.line(line)[: column - 1].strip()


_LAST_TOKEN = re.compile(r'(?:"(?:[^"\\\n]|\\[^\n])*"|[\d.]*[^\W_][\w.]*[ \t]*%?|[^\W\d]\w*|==|!=|<=|>=|\|>|\S)\Z')


def _comment(line: str) -> int | None:
    """Where the comment of a line begins."""
    for piece in re.finditer(r'"(?:[^"\\]|\\.)*"|(?P<comment>#)', line):
        if piece["comment"]:
            return piece.start()
    return None


def explain(stop: Stop) -> Diagnostic:
    """The one mistake that a stop is reported as."""
    for slip in _SLIPS:
        diagnostic = slip(stop)
        if diagnostic is not None:
            return diagnostic
    before = stop.before()
    after = stop.text(before)
    want = expectation(stop.wanted)
    if stop.wanted == {"NAME"}:
        want = _NAMED.get(after, want)
    place = stop.part(before.end, before.end)
    return mistakes.expected(
        want, _after(after), place, _found(stop), stop.place, stop.same_line(place), _meant(stop, stop.word)
    )


def expectation(want: frozenset[str]) -> str:
    """The words for a folded set. It has no operator where the parser had already closed the value in hand."""
    known = EXPECTATIONS.get(want) or EXPECTATIONS.get(want | {"OPERATOR"})
    if known is not None:
        return known
    *others, last = sorted(EXPECTATIONS.get(frozenset({one}), f"`{one.lower()}`") for one in want - {"OPERATOR"}) or [
        _END
    ]
    return f"{', '.join(others)} or {last}" if others else last


def _meant(stop: Stop, word: str) -> tuple[str, ...]:
    """The word of the language that could stand here and that `word` is a slip for."""
    words = [terminal.lower() for terminal in stop.accepted if terminal.lower() in KEYWORDS]
    return did_you_mean(word, words) if word.isidentifier() else ()


def _after(text: str) -> str:
    return f"after `{text}`" if text and len(text) < 40 and "\n" not in text else "here"


def _found(stop: Stop) -> str | None:
    if stop.found == "$END":
        return None
    word = stop.word if len(stop.word) < 40 else stop.word[:37] + "..."
    return f"`{word}`"


# Slips ---------------------------------------------------------------------------------------------------------------


def _reserved(stop: Stop) -> Diagnostic | None:
    """A word of the language where a name is declared, or as the name of a setting."""
    if stop.found.lower() not in KEYWORDS and stop.found != "IMPORT_FROM":
        return None
    follows = re.match(r"[ \t]*(=(?!=)|:)", stop.source.text[stop.end :])
    before = stop.text(stop.before())
    if stop.wanted == {"NAME"} and (before in _NAMED or before == ","):
        if before in (*CLAIMS, "import", "by"):
            return None
        if stop.begins_line(stop.place) and not follows:
            return None
        what = _NAMED.get(before, "a name").removeprefix("a name for ").removeprefix("the name of ")
        return mistakes.reserved_word(stop.word, stop.place, what)
    if "NAME" in stop.accepted and follows and stop.wanted & {"NAME", "STATEMENT"}:
        return mistakes.reserved_word(stop.word, stop.place, "a setting" if follows[1] == "=" else "a parameter")
    return None


_CHARACTERS: dict[str, tuple[str, str]] = {
    "'": ("strings stand in double quotes", 'write  "…"'),
    "`": ("strings stand in double quotes", 'write  "…"'),
    "“": ("strings stand in straight double quotes", 'write  "…"'),
    "”": ("strings stand in straight double quotes", 'write  "…"'),
    "‘": ("strings stand in straight double quotes", 'write  "…"'),
    "’": ("strings stand in straight double quotes", 'write  "…"'),
    "–": ("this dash is not a minus sign", "write  -"),
    "—": ("this dash is not a minus sign", "write  -"),
    "−": ("this sign is not the minus of the keyboard", "write  -"),
    "×": ("multiplication is written with a star", "write  *"),
    ";": ("statements need no separator", "leave out the `;`: a new line is enough"),
    "&": ("logic is written in words", "write  and"),
    "|": ("one bar means nothing here", "write  |>  for the next step, or  or  between conditions"),
    "!": ("logic is written in words", "write  not"),
    "^": ("there is no power operator", "write the product out"),
    "%": ("there is no remainder operator, and `%` stands right behind a number", "write  10%"),
    "$": ("names stand without a sign", "write the name alone"),
    "\\": ("lines need no continuation sign", "leave out the `\\`: new lines are white space"),
}


def _character(stop: Stop) -> Diagnostic | None:
    if stop.found != "?":
        return None
    known = _CHARACTERS.get(stop.word)
    if known is None:
        return mistakes.unknown_character(stop.word, stop.place)
    return mistakes.other_spelling(stop.word, stop.place, *known)


def _foreign(stop: Stop) -> Diagnostic | None:
    """Signs of this language, put together as other languages do."""
    text = stop.source.text
    if text.startswith(("//", "/*"), stop.start) and stop.found == "SLASH":
        return mistakes.other_spelling("//", stop.place, "comments begin with `#`", "write  # …")
    if stop.found == "SLASH" and text[stop.start - 1 : stop.start] == "/":
        place = stop.part(stop.start - 1, stop.end)
        return mistakes.other_spelling("//", place, "comments begin with `#`", "write  # …")
    if stop.found == "STAR" and text[stop.start - 1 : stop.start] == "*":
        place = stop.part(stop.start - 1, stop.end)
        return mistakes.other_spelling("**", place, "there is no power operator", "write the product out")
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


def _bare_fraction(stop: Stop) -> Diagnostic | None:
    before = stop.before()
    if stop.found == "NUMBER" and stop.text(before) == "." and before.end == stop.start:
        place = stop.part(before.start, stop.end)
        return mistakes.other_spelling(stop.text(place), place, "a number begins with a digit", f"write  0.{stop.word}")
    return None


def _absent_value(stop: Stop) -> Diagnostic | None:
    """`lr =` and a new line: the parser took the next setting's name for the value."""
    name = stop.before()
    if stop.found not in ("EQUAL", "LBRACE") or not stop.begins_line(name) or "OPERATOR" not in stop.wanted:
        return None
    before = stop.before(name.start)
    sign = stop.text(before)
    if sign not in KEYWORDS and sign not in ("=", "|>", "+", "-", "*", "/", ",", "(", "["):
        return None
    place = stop.part(before.end, before.end)
    return mistakes.expected("a value", _after(sign), place, "another statement", name, False)


def _separator(stop: Stop) -> Diagnostic | None:
    if stop.found == "COMMA" and "STATEMENT" in stop.wanted:
        return mistakes.other_spelling(",", stop.place, "statements need no separator", "leave out the `,`")
    return None


def _missing_comma(stop: Stop) -> Diagnostic | None:
    starts = {"NAME", "FIELD", "NUMBER", "STRING", "LSQB", "IF", "NOT"} | _WORDS
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
    helps = did_you_mean(word, ("every", "within", "from", "to", "by", "and", "or"))
    after = _after(stop.text(before))
    return mistakes.expected(_END, after, stop.part(before.end, before.end), f"`{word}`", place, True, helps)


_SLIPS: tuple[Callable[[Stop], Diagnostic | None], ...] = (
    _reserved,
    _character,
    _foreign,
    _equals,
    _bare_fraction,
    _absent_value,
    _separator,
    _missing_comma,
    _chained,
    _unknown_statement,
)
