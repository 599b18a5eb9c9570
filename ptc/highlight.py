"""Colours: the groups of words that highlighters tell apart, and the lexer for Pygments (Sphinx, MkDocs, rich).

The words are those of `lang.keywords` and `lang.units`; the grammar for editors (`editors/generate.py`) has its groups
from here.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pygments.lexer import RegexLexer, bygroups, include, words
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Whitespace

from ptc.lang.keywords import CLAIMS, KEYWORDS, ROLES
from ptc.lang.units import UNITS

LOGIC = ("and", "or", "not")
CHOICE = ("if", "then", "else")
CONSTANTS = ("true", "false", "none")
STATEMENTS = tuple(sorted(KEYWORDS.difference(LOGIC, CHOICE)))
"""Every other word of the language: it opens a statement, or stands between the parts of one."""
NAMING = tuple(sorted(KEYWORDS.intersection(("source", "model", "eval", "let", "param", "type", *ROLES))))
"""Words behind which a plain name is declared."""
HEADED = tuple(sorted(KEYWORDS.intersection(("stage", "objective", "recipe"))))
"""Words behind which the name of something with a head or a body is declared."""
COUNTED = tuple(sorted((name for name in UNITS if name.isalpha()), key=lambda name: (-len(name), name)))
"""Units that are words, the longest first."""

WORD = r"[^\W\d]\w*"
NUMBER = r"\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?"
UNIT = rf"(?:[ \t]*(?:%|(?:{'|'.join(COUNTED)})\b))"
HOLE = r"\{[^{}\n\"]*\}"
IS_GIVEN = r"(?=[ \t]*=(?!=))"
"""Before a single `=`."""


class PtcLexer(RegexLexer):  # type: ignore[misc] # Pygments has no types
    """Programs of ptc."""

    name = "ptc"
    url = ""
    aliases: ClassVar[list[str]] = ["ptc", "pt"]
    filenames: ClassVar[list[str]] = ["*.pt"]
    flags = re.MULTILINE

    tokens: ClassVar[dict[str, Any]] = {
        "root": [
            (r"\s+", Whitespace),
            (r"##[^\n]*", Comment.Special),
            (r"#[^\n]*", Comment.Single),
            (r'(f)(""")', bygroups(String.Affix, String.Double), "filled long"),
            (r'"""', String.Double, "long"),
            (r'(f)(")', bygroups(String.Affix, String.Double), "filled short"),
            (r'"', String.Double, "short"),
            (rf"({NUMBER})({UNIT})", bygroups(Number, Name.Builtin)),
            (NUMBER, Number),
            (rf"(?<![\w)\]])\.{WORD}", Name.Variable.Instance),
            (rf"(\.)({WORD})(?=[ \t]*\()", bygroups(Punctuation, Name.Function)),
            (rf"(\.)({WORD})", bygroups(Punctuation, Name)),
            (
                rf"(extern)([ \t]+)({WORD})([ \t]+)({WORD})",
                bygroups(Keyword.Declaration, Whitespace, Keyword.Declaration, Whitespace, Name.Class),
            ),
            (
                rf"({'|'.join(NAMING)})([ \t]+)({WORD})(?=[ \t]*[=:])",
                bygroups(Keyword.Declaration, Whitespace, Name.Variable),
            ),
            (
                rf"({'|'.join(HEADED)})([ \t]+)({WORD})",
                bygroups(Keyword.Declaration, Whitespace, Name.Class),
            ),
            (r"\b[A-Z]\w*", Keyword.Type),
            (rf"\b{WORD}{IS_GIVEN}", Name.Attribute),
            (words(LOGIC, prefix=r"\b", suffix=r"\b"), Operator.Word),
            (words(CLAIMS, prefix=r"\b", suffix=r"\b"), Keyword.Pseudo),
            (words((*STATEMENTS, *CHOICE), prefix=r"\b", suffix=r"\b"), Keyword),
            (words(CONSTANTS, prefix=r"\b", suffix=r"\b"), Keyword.Constant),
            (rf"{WORD}(?=[ \t]*\()", Name.Function),
            (WORD, Name),
            (r"\|>|->|==|!=|<=|>=|[=<>+\-*/@?]", Operator),
            (r"[()\[\]{},:.]", Punctuation),
        ],
        "short": [
            (r"\\.", String.Escape),
            (r'[^"\\\n{]+|\{', String.Double),
            (r'"|\n', String.Double, "#pop"),
        ],
        "long": [
            (r'"""', String.Double, "#pop"),
            (r"\\[\s\S]", String.Escape),
            (r'[^"\\{]+|["{]', String.Double),
        ],
        "filled short": [(HOLE, String.Interpol), include("short")],
        "filled long": [(HOLE, String.Interpol), include("long")],
    }

    def analyse_text(text: str) -> float:
        """How sure it is that this is a program: its first line of code says so."""
        return 1.0 if re.match(r"(?:\s|#[^\n]*\n)*edition[ \t]+\d+", text) else 0.0
