"""What the parser says: one constructor per mistake, with the wording beside it. Pages: docs/errors/S*.md, U101.md."""

from __future__ import annotations

import re

from ptc.lang.ast import Extern, Name
from ptc.lang.diagnostic import Diagnostic, Label
from ptc.lang.keywords import EXTERNS, IN_OBJECTIVE, IN_RECIPE, IN_STAGE, KEYWORDS, TOP_LEVEL
from ptc.lang.source import Span
from ptc.lang.suggest import closest
from ptc.lang.units import UNITS, spelled


def _error(code: str, name: str, title: str, *labels: Label, helps: tuple[str, ...] = ()) -> Diagnostic:
    return Diagnostic(code, name, "error", title, labels, helps=helps)


def expected(
    wanted: str,
    after: str,
    place: Span,
    found: str | None,
    found_at: Span,
    same_line: bool,
    helps: tuple[str, ...] = (),
) -> Diagnostic:
    """Something is missing at `place`, or something else stands there; `found` is None where the text ends."""
    if found is None:
        labels = [Label(place, f"expected {wanted}")]
    elif same_line:
        labels = [Label(place, f"expected {wanted}, found {found}")]
    else:
        labels = [Label(place, f"expected {wanted}"), Label(found_at, f"but here comes {found}")]
    return _error("S101", "something-else-expected", f"expected {wanted} {after}", *labels, helps=helps)


def unclosed_bracket(char: str, place: Span, where: Span) -> Diagnostic:
    closer = {"(": ")", "[": "]", "{": "}"}[char]
    return _error(
        "S102", "unclosed-bracket", f"this `{char}` is never closed",
        Label(place, "opened here"),
        Label(where, f"no `{closer}` up to here"),
        helps=(f"add the missing `{closer}`",),
    )  # fmt: skip


def unclosed_string(place: Span, quotes: str) -> Diagnostic:
    helps = ('close it with `"` on the same line; a text of several lines stands in `"""`',)
    return _error(
        "S103", "unclosed-string", "this string is never closed",
        Label(place, f"opened here, no closing `{quotes}` follows"),
        helps=helps if quotes == '"' else (f"close it with `{quotes}`",),
    )  # fmt: skip


def stray_bracket(char: str, place: Span) -> Diagnostic:
    return _error(
        "S104", "stray-bracket", f"this `{char}` closes nothing",
        Label(place, "no bracket of this kind is open here"),
        helps=("remove it, or add the bracket that it should close",),
    )  # fmt: skip


_FOREIGN = {
    word: advice
    for words, advice in (
        ("for while loop repeat", "there are no loops: a stage runs until its budget is spent"),
        ("def fn func function class lambda", "programs define no functions: name a value with  let"),
        ("var const val set local", "values are named with  let name = …"),
        (
            "if elif else match switch case",
            "there are no conditional statements: choose a value with  if … then … else …",
        ),
        ("import include use using", "imports are written  from std.objectives import sft"),
        ("print assert try with raise async await", "a program is data: nothing is executed line by line"),
    )
    for word in words.split()
}


def unknown_statement(word: str, place: Span, known: tuple[str, ...], setting: bool) -> Diagnostic:
    near = closest(word, known)
    helps: tuple[str, ...] = (f"statements here begin with {_listed(known)}",)
    if word in _FOREIGN:
        helps = (_FOREIGN[word],)
    elif near:
        helps = (f"did you mean `{near}`?",)
    elif setting:
        helps = (f"a setting is written  {word} = …", *helps)
    return _error(
        "S105", "unknown-statement", f"no statement begins with `{word}`", Label(place, "this word"), helps=helps
    )


def reserved_word(word: str, place: Span, what: str) -> Diagnostic:
    return _error(
        "S106", "reserved-word", f"`{word}` is a word of the language and cannot name {what}",
        Label(place, "choose another name"),
        helps=(f"for example  my_{word}",),
    )  # fmt: skip


def bad_name(name: str, place: Span) -> Diagnostic:
    plain = "".join(c if c.isascii() else "_" for c in name.lower()).lstrip("_0123456789")[:64]
    why = "is longer than 64 characters" if len(name) > 64 else "is not a name"
    return _error(
        "S107", "bad-name", f"`{name[:70]}` {why}" if len(name) <= 64 else f"this name {why}",
        Label(place, "names are small letters a–z, digits and `_`, and begin with a letter"),
        helps=(f"write  {plain}",) if plain and plain not in KEYWORDS else (),
    )  # fmt: skip


def bad_type_name(name: str, place: Span) -> Diagnostic:
    plain = "".join(part[:1].upper() + part[1:] for part in name.split("_"))[:64]
    return _error(
        "S107", "bad-name", f"`{name[:70]}` is not the name of a type",
        Label(place, "types are named by a capital letter, then letters, digits and `_`"),
        helps=(f"write  {plain}",) if _TYPE_NAME.match(plain) else (),
    )  # fmt: skip


_TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9_]*\Z")


def misplaced_statement(word: str, place: Span, where: str, belongs: str) -> Diagnostic:
    instead = _INSTEAD.get((word, where))
    return _error(
        "S108", "misplaced-statement", f"`{word}` does not stand {where}",
        Label(place, f"`{word}` belongs {belongs}"),
        helps=() if instead is None else (instead,),
    )  # fmt: skip


_INSTEAD = {
    ("return", "inside an objective"): "an objective gives its loss:  loss = …",
    ("param", "inside a recipe"): "a recipe has its parameters in its head:  recipe round(beta: Real = 0.1) { … }",
    ("stage", "inside a stage"): "stages follow each other: close the first one with  }",
    ("model", "inside an objective"): "an objective is given its models:  objective o(reference: Anchor) { … }",
    ("source", "inside an objective"): "an objective is given its rows:  objective o(rows: Trajectories{…}) { … }",
}


def unresolved_conflict(begins: Span, ends: Span) -> Diagnostic:
    return _error(
        "S125", "unresolved-conflict", "two versions of this file were merged, and stand in it both",
        Label(begins, "the first version begins here"),
        Label(ends, "the second one ends here"),
        helps=("keep one of them, and remove the lines of  <<<<<<<,  =======  and  >>>>>>>",),
    )  # fmt: skip


def setting_outside(name: Name) -> Diagnostic:
    return _error(
        "S108", "misplaced-statement", f"`{name.id} = …` is a setting, and settings stand inside a stage",
        Label(name.span, "not inside a stage"),
        helps=(f"to name a value, write  let {name.id} = …",),
    )  # fmt: skip


def unknown_edition(year: str, place: Span) -> Diagnostic:
    return _error(
        "S109", "unknown-edition", f"this version knows edition 2026, not {year}",
        Label(place, "an edition that does not exist here"),
        helps=("write  edition 2026",),
    )  # fmt: skip


def other_spelling(found: str, place: Span, title: str, instead: str) -> Diagnostic:
    """Something that other languages write like this, and this one does not."""
    return _error("S111", "other-spelling", title, Label(place, f"`{found}`"), helps=(instead,))


def unknown_character(char: str, place: Span) -> Diagnostic:
    shown = char if char.isprintable() else f"U+{ord(char):04X}"
    return _error("S112", "unknown-character", f"`{shown}` means nothing here", Label(place, "this character"))


def bad_escape(escape: str, place: Span) -> Diagnostic:
    return _error(
        "S113", "bad-escape", f"`{escape}` is not an escape",
        Label(place, "in a string `\\` stands only before n, t, \", \\, { and }"),
        helps=(f"for a backslash itself, write  \\{escape}",),
    )  # fmt: skip


def bad_hole(text: str, place: Span) -> Diagnostic:
    return _error(
        "S113", "bad-escape", "only the name of a parameter can stand in the braces of an f-string",
        Label(place, f"`{text}` is not a name"),
        helps=("declare it:  param name: Text = \"…\"", "for a brace itself, write  \\{"),
    )  # fmt: skip


def number_too_long(place: Span) -> Diagnostic:
    return _error(
        "S114", "number-too-long", "this number is too large",
        Label(place, "whole numbers have at most 18 digits, others are below 1.8e308"),
    )  # fmt: skip


def too_deep(place: Span) -> Diagnostic:
    return _error(
        "S115", "program-too-large", "this is nested too deeply",
        Label(place, "brackets nest at most 64 deep, expressions 200"),
        helps=("name the inner parts:  let part = …",),
    )  # fmt: skip


def too_many_parts(count: int, limit: int, place: Span) -> Diagnostic:
    return _error(
        "S115", "program-too-large", f"this program has {count:_} expressions or words; at most {limit:_} are read",
        Label(place, "the program begins here"),
    )  # fmt: skip


def given_twice(what: str, again: Name, before: Name) -> Diagnostic:
    return _error(
        "S116", "given-twice", f"the {what} `{again.id}` is given twice",
        Label(again.span, "given again here"),
        Label(before.span, "first given here"),
    )  # fmt: skip


def positional_after_named(place: Span, named: Name) -> Diagnostic:
    return _error(
        "S117", "unnamed-after-named", "an argument without a name stands behind one with a name",
        Label(place, "this one has no name"),
        Label(named.span, "named from here on"),
        helps=("move it to the front, or give its name",),
    )  # fmt: skip


def missing_comma(place: Span, after: Span, items: str) -> Diagnostic:
    return _error(
        "S118", "missing-comma", f"a comma is missing between two {items}",
        Label(after, "expected `,` here"),
        Label(place, "the next one begins here"),
    )  # fmt: skip


def chained_comparison(place: Span) -> Diagnostic:
    return _error(
        "S119", "chained-comparison", "comparisons do not chain",
        Label(place, "a second comparison"),
        helps=("write  a < b and b < c",),
    )  # fmt: skip


def step_is_no_call(place: Span) -> Diagnostic:
    return _error(
        "S120", "step-is-no-call", "what follows `|>` is a call",
        Label(place, "not a call"),
        helps=("for example  |> slice(0%, 80%)",),
    )  # fmt: skip


def return_is_not_last(place: Span, following: Span) -> Diagnostic:
    return _error(
        "S121", "return-is-not-last", "`return` is the last statement of a recipe, and its only one",
        Label(place, "more follows"),
        Label(following, "this would never be reached"),
        helps=("move it to the end of the recipe",),
    )  # fmt: skip


def no_such_extern(word: str, place: Span) -> Diagnostic:
    near = closest(word, EXTERNS)
    return _error(
        "S122", "extern-of-no-kind", f"there is no `extern {word}`",
        Label(place, f"an `extern` is one of {_listed(EXTERNS)}"),
        helps=(f"did you mean `extern {near}`?",) if near else (),
    )  # fmt: skip


def wrong_extern(extern: Extern) -> Diagnostic | None:
    """What makes no sense about the head of an `extern`, the first of it."""
    kind, result = extern.kind, extern.result
    if kind.id not in EXTERNS:
        return no_such_extern(kind.id, kind.span)
    if kind.id == "objective" and result is not None:
        return _error(
            "S123", "extern-result", "an `extern objective` gives the loss, and says no type of it",
            Label(result.span, "what it gives is known"),
            helps=(f"leave out  -> {result.name}",),
        )  # fmt: skip
    if kind.id != "objective" and result is None:
        gives = "-> Real" if kind.id == "verifier" else "-> Trajectories{prompt, response}"
        return _error(
            "S123", "extern-result", f"an `extern {kind.id}` says what it gives",
            Label(extern.name.span, "no `->` and type follow its parameters"),
            helps=(f"write  extern {kind.id} {extern.name.id}(…) {gives} = {extern.target.text}",),
        )  # fmt: skip
    if extern.target.parts is not None or not _TARGET.match(extern.target.value):
        return _error(
            "S124", "extern-target", "an `extern` names a function of an installed module",
            Label(extern.target.span, 'not of the form "module:function"'),
            helps=(f'write  "{_target(extern.target.value, extern.name.id)}"',),
        )  # fmt: skip
    return None


_TARGET = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*\Z")


def _target(written: str, name: str) -> str:
    """A path, a dotted name or what else stands there, as ``module:function`` so far as it can be told."""
    module, _, function = written.partition(":")
    module = module.removeprefix("./").replace("/", ".")
    if module.endswith(".py"):
        module = module.removesuffix(".py")
    elif not function and "." in module:
        module, _, function = module.rpartition(".")
    guess = f"{module}:{function or name}"
    return guess if _TARGET.match(guess) else f"my_module:{name}"


def unknown_unit(number: str, unit: str, place: Span) -> Diagnostic:
    near = closest(unit, UNITS)
    helps = () if near is None else (f"did you mean `{spelled(number, near)}`?",)
    return _error(
        "U101", "unknown-unit", f"unknown unit `{unit}`",
        Label(place, "no unit of this name"),
        helps=helps or (f"known are {_listed(tuple(name for name in UNITS if name + 's' not in UNITS))}",),
    )  # fmt: skip


def two_units(scale: str, unit: str, place: Span) -> Diagnostic:
    return _error(
        "U101", "unknown-unit", f"`{scale}` and `{unit}` do not go together",
        Label(place, "two units"),
        helps=("a multiplier stands before a count only, as in  4k tokens",),
    )  # fmt: skip


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


STATEMENTS = {"file": TOP_LEVEL, "stage": IN_STAGE, "objective": (*IN_OBJECTIVE, "loss"), "recipe": IN_RECIPE}
