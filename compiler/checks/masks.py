"""Checks of what bears loss."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.checks.view import View
from ptc.compiler.findings import Findings, at

WHOLE_TEXTS = ("text",)
"""Columns that are a text from end to end: an objective that reads one is full-text by declaration."""


def check_loss_mask_leak(view: View, findings: Findings) -> None:
    """T109: a stage that unmasks every turn trains its model to say what others say to it."""
    for stage in view.program.stages:
        if stage.settings.get("mask") != "all":
            continue
        for term in stage.terms:
            role, column = _answered(term)
            if role is None:
                continue
            parameter, source = next(iter(term.sources.items()), ("", term.source))
            findings.add(
                "T109",
                f"`{role.name}` would be trained to write its prompts, too",
                [
                    at(stage.places.get("mask", stage.span), "every turn bears loss"),
                    at(term.places.get(parameter, term.span), f"`{term.objective}` learns their `{column}`"),
                    at(source.span, "prompts and what tools say come in here"),
                ],
                ["an objective that is meant for whole texts says so by its column, `text`"],
                ['mask = "assistant"'],
            )


def _answered(term: core.Term) -> tuple[core.Role | None, str]:
    """A trained model whose answers to prompts are made likelier, and the column that they stand in."""
    for part in term.loss.walk():
        column = part.fields.get("column")
        if part.models and part.models[0].verb == "train" and column is not None and column not in WHOLE_TEXTS:
            return part.models[0], str(column)
    return None, ""
