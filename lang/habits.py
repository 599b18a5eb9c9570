"""Spellings of other languages: Python's, YAML's, JSON's. What is written instead is said in one line."""

from __future__ import annotations

import re
from collections.abc import Callable

from ptc.lang import mistakes
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.expectations import WORDS
from ptc.lang.keywords import CLAIMS, DEFINITIONS, EXTERNS, GATES, KEYWORDS, ROLES
from ptc.lang.source import Span
from ptc.lang.stop import Stop


def _said(stop: Stop, title: str, instead: str, place: Span | None = None) -> Diagnostic:
    at = place or stop.place
    return mistakes.other_spelling(stop.text(at), at, title, instead)


# Signs ---------------------------------------------------------------------------------------------------------------


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
    "…": ("`…` stands for what only you know", "write it out"),
    "\\": ("lines need no continuation sign", "leave out the `\\`: new lines are white space"),
}


def _character(stop: Stop) -> Diagnostic | None:
    if stop.found != "?":
        return None
    if stop.source.text.startswith("```", stop.start):
        fence = stop.part(stop.start, stop.start + 3)
        return _said(stop, "a program stands alone, without Markdown around it", "leave out the fence", fence)
    known = _CHARACTERS.get(stop.word)
    if known is None:
        return mistakes.unknown_character(stop.word, stop.place)
    return mistakes.other_spelling(stop.word, stop.place, *known)


def _signs(stop: Stop) -> Diagnostic | None:
    """Signs of this language, put together as other languages do."""
    if stop.found not in ("EQUAL", "COMPARE", "SLASH", "STAR", "DOT", "PLUS", "MINUS"):
        return None
    for signs, title, instead in _SIGNS:
        for start in range(stop.start, max(stop.start - len(signs), stop.first - 1), -1):
            if stop.source.text.startswith(signs, start):
                return _said(stop, title, instead, stop.part(start, start + len(signs)))
    return None


_SIGNS = (
    ("//", "comments begin with `#`", "write  # …"),
    ("/*", "comments begin with `#`", "write  # …"),
    ("**", "there is no power operator", "write the product out"),
    ("<>", "two values differ with `!=`", "write  !="),
    ("=>", "a value is given with one `=`", "write  ="),
    ("->", "`->` stands in the heads of recipes and externs only", "write  =  to give a value,  |>  for the next step"),
    ("+=", "a name keeps its value", "name the result:  let more = …"),
    ("-=", "a name keeps its value", "name the result:  let less = …"),
    ("*=", "a name keeps its value", "name the result:  let more = …"),
    ("/=", "a name keeps its value", "name the result:  let less = …"),
    ("...", "`...` stands for nothing", "write it out"),
)


def _bare_fraction(stop: Stop) -> Diagnostic | None:
    before = stop.before()
    if stop.found == "NUMBER" and stop.text(before) == "." and before.end == stop.start:
        place = stop.part(before.start, stop.end)
        return mistakes.other_spelling(stop.text(place), place, "a number begins with a digit", f"write  0.{stop.word}")
    return None


def _open_fraction(stop: Stop) -> Diagnostic | None:
    before = stop.before()
    number = re.search(r"[0-9][0-9_]*\.\Z", stop.text(before))
    if number is None or stop.accepted != {"FIELD"}:
        return None
    return _said(stop, "a number ends with a digit", f"write  {number[0]}0", before)


def _grouped_digits(stop: Stop) -> Diagnostic | None:
    text, before = stop.source.text, stop.before()
    thousands = re.compile(r",[0-9]{3}\b").match(text, stop.start)
    if stop.found != "COMMA" or thousands is None or before.end != stop.start or not stop.text(before).isdigit():
        return None
    place = stop.part(before.start, thousands.end())
    return _said(stop, "digits are grouped by `_`", f"write  {stop.text(place).replace(',', '_')}", place)


def _letter_before_string(stop: Stop) -> Diagnostic | None:
    before = stop.before()
    letters = stop.text(before)
    if stop.found != "STRING" or before.end != stop.start or letters.lower() not in ("r", "b", "u", "rb", "br", "fr"):
        return None
    return _said(stop, "only `f` stands before a text", f"leave out the `{letters}`", before)


def _quoted_name(stop: Stop) -> Diagnostic | None:
    name = stop.word.strip('"')
    if stop.found != "STRING" or stop.wanted not in ({"NAME"}, {"DOT", "NAME"}) or not name.isidentifier():
        return None
    return _said(stop, "a name stands without quotes", f"write  {name}")


# Heads and blocks ----------------------------------------------------------------------------------------------------


def _block(stop: Stop) -> Diagnostic | None:
    """Where a block is to begin: `stage warm:`, `stage warm = {`, `stage warm() {`, `recipe round(): Model {`."""
    if "LBRACE" not in stop.accepted or "NAME" in stop.accepted or "QUESTION" in stop.accepted:
        return None
    follows = stop.source.text[stop.end :].lstrip(" \t>")
    if stop.found in ("COLON", "EQUAL") and "ARROW" in stop.accepted and follows[:1].isalpha():
        return _said(stop, "what a recipe gives stands behind `->`", "write  -> Model")
    if stop.found == "COLON":
        return _said(stop, "a block stands in braces", "write  { … }")
    if stop.found == "EQUAL":
        instead = "leave out the `=`" if follows.startswith("{") else "write  { … }"
        return _said(stop, "a block stands in braces right behind its head", instead)
    if stop.found == "LPAR":
        instead = "a stage with parameters is a recipe:  recipe round(start: Model) -> Model { … }"
        return _said(stop, "a stage has no parameters", instead)
    if stop.found == "ARROW":
        return _said(stop, "an objective gives the loss, and says no type of it", "leave out the `->` and the type")
    return None


def _extern(stop: Stop) -> Diagnostic | None:
    before = stop.before()
    word = stop.text(before)
    if stop.accepted == {"NAME", "OBJECTIVE", "SOURCE"} and stop.found in WORDS:
        return mistakes.no_such_extern(stop.word, stop.place)
    nameless = stop.found == "LPAR" and stop.wanted == {"NAME"} and word not in EXTERNS
    if nameless and stop.text(stop.before(before.start)) == "extern":
        return mistakes.no_such_extern(word, before)
    fat = stop.word == ">" and stop.accepted == {"STRING"} and stop.text(before) == "="
    if fat or (stop.found == "COLON" and stop.accepted == {"ARROW", "EQUAL"}):
        return _said(stop, "what an `extern` gives stands behind `->`", "write  -> Real")
    return None


def _columns_of_a_result(stop: Stop) -> Diagnostic | None:
    """`recipe few() -> Trajectories{prompt} {`: the first brace opens the body."""
    head = re.compile(r"\s*recipe\b[^{]*->\s*(\w+\s*\{[\w\s,:]*\})").match(stop.source.text, stop.first)
    if head is None or not head.start(1) <= stop.start <= head.end(1):
        return None
    return _said(
        stop, "the columns of what a recipe gives have a name first",
        "write  type Rows = Trajectories{…}  above, and here  -> Rows", stop.part(*head.span(1)),
    )  # fmt: skip


def _brackets_of_columns(stop: Stop) -> Diagnostic | None:
    if stop.found not in ("LPAR", "LSQB") or not {"LBRACE", "QUESTION"} <= stop.accepted:
        return None
    return _said(stop, "the columns of a type stand in braces", "write  Trajectories{prompt, response}")


def _type_of_no_name(stop: Stop) -> Diagnostic | None:
    if stop.found == "LBRACE" and stop.wanted == {"NAME"} and stop.text(stop.before()) in ("=", ":", "->"):
        return _said(stop, "columns stand behind the name of a type", "write  Trajectories{prompt, response}")
    return None


def _parameters_of_a_value(stop: Stop) -> Diagnostic | None:
    word = stop.text(stop.before(stop.before().start))
    if stop.found == "LPAR" and stop.accepted == {"EQUAL"} and word in DEFINITIONS:
        return _said(stop, f"a `{word}` has no parameters", f"write  {word} name = …")
    return None


_TAKES = ("minimize", "watch", *GATES, "report", "return", "protect", "export", "where", "edition")


def _word_with_equals(stop: Stop) -> Diagnostic | None:
    """`minimize = sft(…)`, `model: base`, `train = base`."""
    word = stop.text(stop.before())
    if stop.found not in ("EQUAL", "COLON"):
        return None
    if word in (*_TAKES, *CLAIMS):
        return _said(stop, f"what `{word}` is about stands right behind it", f"leave out the `{stop.word}`")
    if word in (*DEFINITIONS, *ROLES, "param"):
        example = "policy" if word in ROLES else "beta" if word == "param" else "name"
        sign = ":" if word == "param" else "="
        return _said(stop, f"a name stands behind `{word}`", f"write  {word} {example} {sign} …")
    return None


def _import(stop: Stop) -> Diagnostic | None:
    if not stop.opens("from"):
        return None
    if stop.found == "LPAR" and stop.text(stop.before()) == "import":
        return _said(stop, "the names of an import stand without brackets", "leave out the `(` and the `)`")
    if stop.found == "STAR" and stop.text(stop.before()) == "import":
        return _said(stop, "an import names what it brings", "for example  from std.objectives import sft, grpo")
    before = stop.before()
    alias = stop.part(stop.start, stop.end) if stop.word == "as" else before
    if stop.text(alias) == "as":
        return _said(stop, "what is imported keeps its name", "leave out the `as` and what follows", alias)
    return None


# Values --------------------------------------------------------------------------------------------------------------


def _choice(stop: Stop) -> Diagnostic | None:
    """`a if b else c` and `b ? a : c`."""
    if "OPERATOR" not in stop.wanted or stop.begins_line(stop.place):
        return None
    if stop.found == "QUESTION" or (stop.found == "IF" and stop.same_line(stop.before())):
        return _said(stop, "a choice begins with its condition", "write  if … then … else …")
    return None


def _index(stop: Stop) -> Diagnostic | None:
    if stop.found == "LSQB" and "OPERATOR" in stop.wanted and stop.before().end == stop.start:
        return _said(stop, "nothing is taken out by its number", "rows are chosen by a step:  |> take(10)")
    return None


def _braces(stop: Stop) -> Diagnostic | None:
    if stop.found == "LBRACE" and "VALUE" in stop.wanted:
        return _said(stop, "there are no dictionaries", "what belongs together are arguments:  name = value")
    return None


def _tuple(stop: Stop) -> Diagnostic | None:
    if stop.found != "COMMA" or stop.accepted != {"RPAR"}:
        return None
    bracket = stop.before(stop.before().start)
    target = stop.text(bracket) == "(" and stop.begins_line(stop.before(bracket.start))
    return None if target else _said(stop, "several values stand in square brackets", "write  [a, b]")


def _star(stop: Stop) -> Diagnostic | None:
    """`f(*values)`, `f(**settings)`."""
    if stop.found == "STAR" and "LABEL" in stop.wanted:
        return _said(stop, "arguments are written out", "write  name = value")
    return None


def _words(stop: Stop) -> Diagnostic | None:
    """`lambda`, comprehensions, `x in y`, `x is y`: a word where the value before it should have ended."""
    before = stop.before()
    place = before if stop.text(before) in _NO_OPERATORS else stop.place
    title_and_help = _NO_OPERATORS.get(stop.text(place))
    if title_and_help is None or stop.begins_line(place) or "VALUE" in stop.wanted:
        return None
    return _said(stop, *title_and_help, place)


_NO_OPERATORS = {
    "lambda": ("a condition is written over columns", "for example  keep(.reward == 1)"),
    "for": ("rows are not looped over", "they flow through steps:  rows |> keep(.reward == 1)"),
    "in": ("there is no `in`", "write  a == b or a == c"),
    "is": ("there is no `is`", "write  ==  or  !="),
}


_NAME = re.compile(rf"(?!(?:{'|'.join(KEYWORDS)})\Z)[^\W\d]\w*\Z")


def _undotted(stop: Stop) -> Diagnostic | None:
    """`new model("qwen3")`."""
    word = stop.before()
    holder = stop.before(word.start)
    if stop.found != "LPAR" or stop.wanted != {"NAME"} or not _NAME.match(stop.text(holder)):
        return None
    if "\n" in stop.source.text[holder.end : word.start]:
        return None
    place = stop.part(holder.start, word.end)
    joined = f"{stop.text(holder)}.{stop.text(word)}"
    return _said(stop, f"`{stop.text(word)}` stands behind a dot", f"write  {joined}", place)


def _pair(stop: Stop) -> Diagnostic | None:
    """`return a, b`."""
    if stop.found != "COMMA" or "STATEMENT" not in stop.wanted or not stop.opens("return"):
        return None
    return _said(stop, "a recipe gives one value", "leave out the `,` and what follows")


HABITS: tuple[Callable[[Stop], Diagnostic | None], ...] = (
    _character, _block, _extern, _star, _signs, _bare_fraction, _open_fraction, _grouped_digits, _letter_before_string,
    _quoted_name, _columns_of_a_result, _brackets_of_columns, _type_of_no_name, _parameters_of_a_value,
    _word_with_equals, _import, _choice, _index, _braces, _tuple, _words, _undotted, _pair,
)  # fmt: skip
