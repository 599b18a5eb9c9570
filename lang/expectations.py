"""Words for what the parser could have gone on with.

What could have stood where reading stopped is a set of terminals. `wanted` folds such a set into a few notions (a
value, an operator, a statement, single tokens), and `EXPECTATIONS` has words for every set that can arise; a test walks
the parser's states and proves that none is missing.
"""

from __future__ import annotations

from collections.abc import Collection

from ptc.lang.keywords import CLAIMS, DEFINITIONS, EXTERNS, KEYWORDS, ROLES

_VALUE = frozenset({"NAME", "WHERE", "NUMBER", "STRING", "DOT", "LPAR", "LSQB", "MINUS", "NOT", "IF"})
_OPERATOR = frozenset({"PIPE", "OR", "AND", "COMPARE", "PLUS", "MINUS", "STAR", "SLASH", "LPAR", "DOT", "AT"})
_STATEMENT = frozenset(
    {
        "EDITION", "IMPORT_FROM", "PARAM", "SOURCE", "MODEL", "EVAL", "LET", "STAGE", "OBJECTIVE", "TRAIN", "FREEZE",
        "TRACK", "MINIMIZE", "REQUIRE", "ENSURE", "GUARD", "WATCH", "PROTECT", "ALLOW", "REPORT", "EXPORT", "WHERE",
        "TYPE", "RECIPE", "RETURN", "EXTERN", "NAME", "RBRACE", "$END",
    }
)  # fmt: skip
WORDS = frozenset(word.upper() for word in KEYWORDS) | {"IMPORT_FROM"}


def wanted(accepted: Collection[str]) -> frozenset[str]:
    """A set of terminals, folded: VALUE, LABEL, OPERATOR and STATEMENT stand for their members."""
    left = frozenset(accepted)
    folded: frozenset[str] = frozenset()
    if left >= WORDS:
        folded |= {"LABEL"}
        left -= WORDS
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


END = "the statement to end"
TARGET = '`=` and `"module:function"`'
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
        ("COMMA", "`,` and the reason in quotes"),
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
        ("NAME RPAR", "a parameter or `)`"),
        ("FIELD RBRACE", "a column or `}`"),
        ("COMMA RPAR", "`,` or `)`"),
        ("COMMA RBRACE", "`,` or `}`"),
        ("OPERATOR STATEMENT", END),
        ("OPERATOR TO", "`to` and a path in quotes"),
        ("OPERATOR THEN", "`then` and a value"),
        ("OPERATOR ELSE", "`else` and a value"),
        ("OPERATOR RPAR", "`)`"),
        ("COMMA OPERATOR RSQB", "`,` or `]`"),
        ("COMMA OPERATOR RPAR", "`,` or `)`"),
        ("COMMA EQUAL OPERATOR RPAR", "`,` or `)`"),
        ("FROM OPERATOR STATEMENT WITHIN", f"`within`, `from` or {END}"),
        ("FROM STATEMENT", f"`from` or {END}"),
        ("COMMA OPERATOR STATEMENT", f"`,` or {END}"),
        ("COMMA STATEMENT", f"`,` or {END}"),
        ("EVERY OPERATOR STATEMENT", f"`every` or {END}"),
        ("OVER OPERATOR STATEMENT", f"`over` or {END}"),
        ("CONSOLIDATES EXPANDS LBRACE RESHAPES", "a claim or `{`"),
        ("COMMA CONSOLIDATES EXPANDS FROM LBRACE RESHAPES", "`{`"),
        ("COMMA CONSOLIDATES EXPANDS LBRACE OPERATOR RESHAPES", "`{`"),
        ("CONSOLIDATES EXPANDS NAME RESHAPES", "an eval or another claim"),
        ("BY EQUAL LBRACE QUESTION STATEMENT WITHIN", f"`=` or {END}"),
        ("BY EQUAL QUESTION STATEMENT WITHIN", f"`=` or {END}"),
        ("BY EQUAL STATEMENT WITHIN", f"`=` or {END}"),
        ("EQUAL STATEMENT WITHIN", f"`=` or {END}"),
        ("EQUAL STATEMENT", f"`=` or {END}"),
        ("BY COMMA EQUAL LBRACE QUESTION RPAR WITHIN", "`,`, `=` or `)`"),
        ("BY COMMA EQUAL QUESTION RPAR WITHIN", "`,`, `=` or `)`"),
        ("BY COMMA EQUAL RPAR WITHIN", "`,`, `=` or `)`"),
        ("COMMA EQUAL RPAR WITHIN", "`,`, `=` or `)`"),
        ("COMMA EQUAL RPAR", "`,`, `=` or `)`"),
        ("BY LBRACE QUESTION STATEMENT WITHIN", END),
        ("BY QUESTION STATEMENT WITHIN", END),
        ("BY STATEMENT WITHIN", END),
        ("STATEMENT WITHIN", END),
        ("ARROW LBRACE", "`->` and a type, or `{`"),
        ("NAME OBJECTIVE SOURCE", "`verifier`, `objective` or `source`"),
        ("ARROW EQUAL", "`->` and a type, or `=`"),
        ("BY EQUAL LBRACE QUESTION WITHIN", TARGET),
        ("BY EQUAL QUESTION WITHIN", TARGET),
        ("BY EQUAL WITHIN", TARGET),
        ("EQUAL WITHIN", TARGET),
        ("COLON COMMA RBRACE", "`,` or `}`"),
    )
}

_SIGNS = {"COMMA": ",", "QUESTION": "?", "RBRACE": "}", "ARROW": "->", "DOT": ".", "LSQB": "[", "AT": "@", "PIPE": "|>"}

NAMED: dict[str, str] = {
    **{word: f"a name for the {word}" for word in (*DEFINITIONS, *EXTERNS, "stage", "param", "recipe", "type")},
    **{
        word: f"the name of the role that the stage {verb}"
        for word, verb in zip(ROLES, ("trains", "freezes", "tracks"), strict=True)
    },
    **{word: "the eval that the claim is about" for word in CLAIMS},
    "import": "the names to import",
    "by": "the name of the role that samples",
}


def expectation(want: frozenset[str]) -> str:
    """The words for a folded set. It has no operator where the parser had already closed the value in hand."""
    known = EXPECTATIONS.get(want) or EXPECTATIONS.get(want | {"OPERATOR"})
    if known is not None:
        return known
    *others, last = sorted(_alone(one) for one in want - {"OPERATOR"}) or [END]
    return f"{', '.join(others)} or {last}" if others else last


def _alone(terminal: str) -> str:
    sign = _SIGNS.get(terminal)
    return f"`{sign}`" if sign else EXPECTATIONS.get(frozenset({terminal}), f"`{terminal.lower()}`")
