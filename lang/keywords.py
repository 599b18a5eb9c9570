"""The words of the language, and which statements they open where."""

from __future__ import annotations

DEFINITIONS = ("source", "model", "eval", "let")
ROLES = ("train", "freeze", "track")
CLAIMS = ("expands", "reshapes", "consolidates")
GATES = ("require", "ensure")
LATER = ("recipe", "extern", "type", "merge", "return")
"""Reserved for what later versions of the edition bring."""

TOP_LEVEL = (
    "edition", "from", "param", "source", "model", "eval", "let", "stage", "objective",
    "protect", "allow", "report", "export",
)  # fmt: skip
IN_STAGE = ("source", "model", "eval", "let", *ROLES, "minimize", *GATES, "watch", "allow")
IN_OBJECTIVE = ("let", "where")

KEYWORDS: frozenset[str] = frozenset(
    (
        *TOP_LEVEL, *IN_STAGE, *IN_OBJECTIVE, *CLAIMS, *LATER,
        "import", "every", "within", "to", "by", "if", "then", "else", "and", "or", "not",
    )
)  # fmt: skip
