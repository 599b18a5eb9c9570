"""The step `score`: what the verifiers say of each response, as a reward."""

from __future__ import annotations

from dataclasses import replace

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows.step import Step, with_types
from ptc.compiler.rows import check_column, ordered
from ptc.compiler.scorers import documents, judges, summed
from ptc.lang import ast


def several(call: ast.Call, findings: Findings) -> bool:
    """Whether verifiers are listed where one expression stands; reports it."""
    listed = [argument.value for argument in call.arguments if argument.name is None]
    if len(listed) < 2:
        return False
    findings.add(
        "N109",
        "several verifiers are one sum",
        [at(listed[1].span, "one too many")],
        helps=[f"score({summed(listed)})"],
    )
    return True


def score(step: Step) -> core.Source | None:
    """The rows with their `reward`."""
    scorers = step.flows.scorings.read(step.bound.given["verifier"], step.scope)
    if scorers is None or not step.flows.scorings.fit(scorers, step.rows):
        return None
    if not step.has_responses("`score` judges responses"):
        return None
    if not check_column("response", step.call.span, step.rows, step.findings):
        return None
    brought = {"reward": "Real"}
    if "steps" in step.type.columns and any(scorer.kind == "reward_model" for scorer in scorers):
        brought["step_rewards"] = "List"  # a model that scores texts scores each step, too
    kind = replace(
        step.type,
        columns=ordered({*step.type.columns, *brought}),
        scorers=scorers,
        column_types=with_types(step.type, brought),
    )
    inputs: dict[str, core.Input] = {"rows": step.rows, **judges(scorers, standing=step.rows.live is None)}
    return step.made(kind, documents(scorers), inputs)
