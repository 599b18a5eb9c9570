"""The words of the language, and which statements they open where."""

from __future__ import annotations

DEFINITIONS = ("source", "model", "eval", "let")
ROLES = ("train", "freeze", "track")
CLAIMS = ("expands", "reshapes", "consolidates")
GATES = ("require", "ensure", "guard")
EXTERNS = ("verifier", "objective", "source")
"""What can be written outside and named by `extern`; `verifier` is no word of the language."""

TOP_LEVEL = (
    "edition", "from", "param", "source", "model", "eval", "let", "stage", "objective",
    "type", "recipe", "extern", "protect", "allow", "report", "export",
)  # fmt: skip
IN_STAGE = ("source", "model", "eval", "let", *ROLES, "minimize", *GATES, "watch", "allow")
IN_OBJECTIVE = ("let", "where")
IN_RECIPE = ("source", "model", "eval", "let", "stage", "allow", "report", "return")
OPENERS = frozenset((*TOP_LEVEL, *IN_STAGE, *IN_OBJECTIVE, *IN_RECIPE)) - {"where"}
"""The words that open a statement somewhere, and go on with none: `where(c, a, b)` is a value too."""
GOING_ON = frozenset((*CLAIMS, "import", "every", "over", "within", "to", "by", "then", "else", "and", "or"))
"""The words that go on with a statement and open none."""

KEYWORDS: frozenset[str] = frozenset((*OPENERS, *IN_OBJECTIVE, *GOING_ON, "if", "not"))
