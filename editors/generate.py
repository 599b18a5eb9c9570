"""Writes the TextMate grammar: `python editors/generate.py`, or `make docs`. A test fails when it is out of date.

Its words and patterns are those of `ptc.highlight`, and so those of the language's own tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ptc import highlight as words
from ptc.lang.keywords import CLAIMS

ROOT = Path(__file__).resolve().parent.parent
GRAMMAR = "editors/vscode/syntaxes/ptc.tmLanguage.json"


def textmate() -> str:
    """The grammar that VS Code, Sublime Text, TextMate and GitHub's linguist read."""
    grammar = {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "comment": "Made from lang/keywords.py and lang/units.py by editors/generate.py: `make docs`.",
        "name": "ptc",
        "scopeName": "source.ptc",
        "patterns": [{"include": f"#{name}"} for name in _rules()],
        "repository": {name: {"patterns": patterns} for name, patterns in _rules().items()},
    }
    return json.dumps(grammar, indent=2) + "\n"


def _rules() -> dict[str, list[dict[str, Any]]]:
    """The rules, the first that matches wins."""
    return {
        "comments": [
            _match("comment.line.documentation.ptc", r"##.*$"),
            _match("comment.line.number-sign.ptc", r"#.*$"),
        ],
        "texts": [
            _text('"""', '"""', "triple", filled=True),
            _text('"""', '"""', "triple", filled=False),
            _text('"', '"|$', "double", filled=True),
            _text('"', '"|$', "double", filled=False),
        ],
        "numbers": [
            _groups(rf"\b({words.NUMBER})({words.UNIT})?", "constant.numeric.ptc", "keyword.other.unit.ptc"),
        ],
        "columns": [_match("variable.other.property.ptc", rf"(?<![\w)\]])\.{words.WORD}")],
        "members": [
            _groups(rf"(\.)({words.WORD})(?=[ \t]*\()", "punctuation.accessor.ptc", "entity.name.function.ptc"),
            _groups(rf"(\.)({words.WORD})", "punctuation.accessor.ptc", "variable.other.member.ptc"),
        ],
        "declarations": [
            _groups(
                rf"\b(extern)[ \t]+({words.WORD})[ \t]+({words.WORD})",
                "storage.type.ptc",
                "storage.type.ptc",
                "entity.name.function.ptc",
            ),
            _groups(
                rf"\b({'|'.join(words.NAMING)})[ \t]+({words.WORD})(?=[ \t]*[=:])",
                "storage.type.ptc",
                "variable.other.constant.ptc",
            ),
            _groups(rf"\b({'|'.join(words.HEADED)})[ \t]+({words.WORD})", "storage.type.ptc", "entity.name.type.ptc"),
        ],
        "types": [_match("support.type.ptc", r"\b[A-Z]\w*")],
        "arguments": [_match("variable.parameter.ptc", rf"\b{words.WORD}{words.IS_GIVEN}")],
        "words": [
            _match("keyword.operator.logical.ptc", _one_of(words.LOGIC)),
            _match("keyword.control.conditional.ptc", _one_of(words.CHOICE)),
            _match("storage.modifier.ptc", _one_of(CLAIMS)),
            _match("keyword.control.ptc", _one_of(words.STATEMENTS)),
            _match("constant.language.ptc", _one_of(words.CONSTANTS)),
        ],
        "calls": [_match("entity.name.function.ptc", rf"\b{words.WORD}(?=[ \t]*\()")],
        "operators": [_match("keyword.operator.ptc", r"\|>|->|==|!=|<=|>=|[=<>+\-*/@?]")],
    }


def _one_of(known: Iterable[str]) -> str:
    return rf"\b(?:{'|'.join(known)})\b"


def _match(scope: str, pattern: str) -> dict[str, Any]:
    return {"name": scope, "match": pattern}


def _groups(pattern: str, *scopes: str) -> dict[str, Any]:
    captures = {str(number): {"name": scope} for number, scope in enumerate(scopes, start=1)}
    return {"match": pattern, "captures": captures}


def _text(begin: str, end: str, kind: str, filled: bool) -> dict[str, Any]:
    inside = [_match("constant.character.escape.ptc", r"\\.")]
    if filled:
        inside.append(_match("meta.interpolation.ptc variable.other.ptc", words.HOLE))
    return {
        "name": f"string.quoted.{kind}.ptc",
        "begin": (r"\bf" if filled else "") + begin,
        "end": end,
        "patterns": inside,
    }


PAGES = {GRAMMAR: textmate}

if __name__ == "__main__":
    for path, page in PAGES.items():
        (ROOT / path).write_text(page(), encoding="utf-8")
