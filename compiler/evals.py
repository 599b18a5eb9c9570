"""Evals: functions of a model that measure what it does on a source."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ptc.compiler import core, references
from ptc.compiler.arguments import Bound, Parameter, Signature, bind
from ptc.compiler.calls import constants, dotted
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import Flows
from ptc.compiler.flows.sampling import without_defaults
from ptc.compiler.flows.signatures import FURTHER, SAMPLING
from ptc.compiler.graph import Json
from ptc.compiler.rows import check_column
from ptc.compiler.scope import Scope
from ptc.compiler.scorers import documents, reached
from ptc.lang import ast
from ptc.lang.suggest import closest

TAG = Parameter("tag", "text", None)
"""What it stands for, such as ``safety``; it changes nothing that is measured."""
SEED = Parameter("seed", "int", 0, least=0)
SCAFFOLDS = ("none", "best_of_n", "majority", "search")

EVALS = {
    "pass_rate": Signature(
        "pass_rate",
        (
            Parameter("source", "source"),
            Parameter("verifier", "verifier"),
            Parameter("n", "int", 8, least=1),
            *SAMPLING,
            SEED,
            *FURTHER,
            Parameter("scaffold", "text", "none", choices=SCAFFOLDS),
            TAG,
        ),
    ),
    "reward": Signature(
        "reward",
        (
            Parameter("source", "source"),
            Parameter("verifier", "verifier"),
            Parameter("n", "int", 1, least=1),
            *SAMPLING,
            SEED,
            *FURTHER,
            TAG,
        ),
    ),
    "win_rate": Signature(
        "win_rate",
        (
            Parameter("source", "source"),
            Parameter("judge", "verifier"),
            Parameter("against", "model"),
            Parameter("n", "int", 1, least=1),
            *SAMPLING,
            SEED,
            *FURTHER,
            TAG,
        ),
    ),
    "bits_per_character": Signature("bits_per_character", (Parameter("source", "source"), TAG)),
}

EXAMPLES = {
    "pass_rate": "pass_rate(held_out, exact, n = 16)",
    "reward": "reward(held_out, exact)",
    "win_rate": 'win_rate(held_out, judge(model, rubric = "Which is better?"), against = base)',
    "bits_per_character": "bits_per_character(held_out |> respond(.answer))",
}
EVALS = {name: replace(signature, example=EXAMPLES[name]) for name, signature in EVALS.items()}

SYNONYMS = {
    "accuracy": "pass_rate",
    "pass_at_k": "pass_rate",
    "pass_at_1": "pass_rate",
    "exact_match": "pass_rate",
    "mean_reward": "reward",
    "perplexity": "bits_per_character",
    "loss": "bits_per_character",
    "nll": "bits_per_character",
    "alpaca_eval": "win_rate",
    "winrate": "win_rate",
}
"""What others call the evals."""


@dataclass(frozen=True)
class Evals:
    """Elaborates evals in a scope."""

    findings: Findings
    flows: Flows

    def eval(self, expr: ast.Expr, name: str, scope: Scope) -> core.Eval | None:
        """The eval that an expression declares."""
        kind = dotted(expr.callee) if isinstance(expr, ast.Call) else ""
        if not isinstance(expr, ast.Call) or kind not in EVALS:
            self._no_eval(expr, kind)
            return None
        bound = bind(EVALS[kind], expr.arguments, expr.span, self.findings)
        settings = constants(EVALS[kind], bound, scope)
        source = self.flows.source(bound.given["source"], scope) if "source" in bound.given else None
        if kind == "bits_per_character":
            return self._likelihood(expr, name, source, settings, bound)
        scorers = self._scorers(bound, scope)
        against = self._against(bound, scope)
        if source is None or settings is None or scorers is None or not bound.whole:
            return None
        if kind == "win_rate" and against is None:
            return None
        if not self._has(("prompt",), source, bound) or not self.flows.scorings.fit(scorers, source, sampled=True):
            return None
        if kind == "pass_rate" and not self._can_pass(scorers):
            return None
        document: dict[str, Json] = {**_measured(settings), **documents(scorers)}
        return core.Eval(kind, document, source, name, expr.span, scorers, against, dict(bound.spans))

    def _no_eval(self, expr: ast.Expr, kind: str) -> None:
        if isinstance(expr, ast.Missing):
            return
        guess = SYNONYMS.get(kind) or closest(kind, EVALS)
        self.findings.add(
            "N101" if kind else "N107",
            f"no eval is called `{kind}`" if kind else "an eval is needed here",
            [at(expr.span, "not an eval")],
            [] if guess or not kind else [f"there are {', '.join(f'`{word}`' for word in EVALS)}"],
            [f"did you mean `{guess}`?"] if guess else ["pass_rate(held_out, exact, n = 16)"],
        )

    def _likelihood(
        self, call: ast.Call, name: str, source: core.Source | None, settings: dict[str, Json] | None, bound: Bound
    ) -> core.Eval | None:
        if source is None or settings is None or not bound.whole:
            return None
        columns = ["text"] if source.type.has("text") and not source.type.has("response") else ["response"]
        wanted = ("text",) if columns == ["text"] else ("prompt", "response")
        if not self._has(wanted, source, bound):
            return None
        document: dict[str, Json] = {"columns": columns, **_measured(settings)}
        return core.Eval("bits_per_character", document, source, name, call.span, places=dict(bound.spans))

    def _scorers(self, bound: Bound, scope: Scope) -> tuple[core.Scorer, ...] | None:
        given = bound.given.get("verifier") or bound.given.get("judge")
        return self.flows.scorings.read(given, scope) if given is not None else None

    def _can_pass(self, scorers: tuple[core.Scorer, ...]) -> bool:
        """Whether an attempt can have the score 1, at which it passes."""
        reach = reached(scorers)
        if reach is None or reach[1] >= 1 - 1e-9:
            return True
        self.findings.add(
            "T121",
            "no attempt could pass: these scores never reach 1",
            [at(scorers[0].span, f"at most {reach[1]:g}")],
            ["an attempt passes with a score of 1"],
            ["pass_rate(held_out, exact)", "or, for the mean of any score:  reward(held_out, …)"],
        )
        return False

    def _against(self, bound: Bound, scope: Scope) -> core.Model | None:
        """The other side of a `win_rate`: weights that stand still."""
        given = bound.given.get("against")
        model = self.flows.model_or_role(given, scope) if given is not None else None
        return model.init if isinstance(model, core.Role) else model

    def _has(self, columns: tuple[str, ...], source: core.Source, bound: Bound) -> bool:
        place = bound.given["source"].span
        return all([check_column(column, place, source, self.findings) for column in columns])

    def named(self, expr: ast.Expr, scope: Scope) -> core.Eval | None:
        """The eval that a claim, a watch or a report names."""
        if not references.is_path(expr):
            if not isinstance(expr, ast.Missing):
                self.findings.add("N107", "the name of an eval is needed here", [at(expr.span, "not a name")])
            return None
        found = references.thing(expr, scope, (core.Eval,), "an eval")
        return found if isinstance(found, core.Eval) else None


def _measured(settings: dict[str, Json]) -> dict[str, Json]:
    """The settings that say something; what has only been added to the language is left out where it is not used."""
    added = {"scaffold": "none", "tag": None}
    known = without_defaults(settings)
    return {name: value for name, value in known.items() if name not in added or value != added[name]}
