"""Columns as a loss sees them: which axes a column has, and whether it is a number or a text."""

from __future__ import annotations

SAMPLE = frozenset({"prompt", "group"})
AXES = ("prompt", "group", "step", "token", "vocab", "sample")
"""In the order in which they are listed; `sample` is prompt and group."""

TEXT_COLUMNS = ("response", "chosen", "rejected", "text", "steps")
"""Texts of which a model can be asked for log-probabilities."""
LISTED_TEXTS = ("steps",)
"""Of these, the ones that are a list of texts: one per step."""
TOKEN_COLUMNS = {"logprobs": "response"}
"""Columns with one number per token, and the column whose tokens they stand beside."""
STEP_COLUMNS = ("step_rewards", "step_labels")
"""Columns with one number per step of a response."""
STEPPED_TEXTS = ("response", "steps")
"""Texts whose tokens each lie in one step."""
PLAIN_TEXTS = ("prompt", "answer", "context", "question", "system", "hint", *TEXT_COLUMNS)
NO_NUMBERS = ("group", "attempt", "messages", "tools")
"""Columns that say where a row belongs or what it is made of."""


def axes_of(column: str) -> frozenset[str]:
    """The axes of a column of numbers."""
    if column in TOKEN_COLUMNS:
        return SAMPLE | {"token"}
    return SAMPLE | {"step"} if column in STEP_COLUMNS else SAMPLE


def listed(axes: frozenset[str]) -> str:
    """``prompt, group, token``, or ``none``."""
    return ", ".join(sorted(axes, key=AXES.index)) or "none"
