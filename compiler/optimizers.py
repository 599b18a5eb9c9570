"""Optimizers: what they are called, and the values that their arguments may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ptc.compiler.arguments import Parameter, Signature, bind, listed
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import constants, dotted
from ptc.compiler.graph import Json
from ptc.compiler.scope import Scope
from ptc.compiler.values import Unknown, constant, count, read
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

OPTIMIZERS = {
    "adamw": Signature(
        "adamw",
        (
            listed("adamw", "lr", "real", least=0),
            listed("adamw", "betas", "reals"),
            listed("adamw", "eps", "real", least=0),
            listed("adamw", "weight_decay", "real", least=0),
            listed("adamw", "warmup", "warmup"),
            listed("adamw", "schedule", "text", choices=("linear", "constant", "cosine")),
            listed("adamw", "floor", "share"),
            listed("adamw", "clip_norm", "real", least=0, optional=True),
        ),
    ),
    "rmsprop": Signature(
        "rmsprop",
        (
            listed("adamw", "lr", "real", least=0),
            Parameter("decay", "real", 0.99, least=0, most=1),
            listed("adamw", "eps", "real", least=0),
            listed("adamw", "weight_decay", "real", least=0),
            listed("adamw", "warmup", "warmup"),
            listed("adamw", "schedule", "text", choices=("linear", "constant", "cosine")),
            listed("adamw", "floor", "share"),
            listed("adamw", "clip_norm", "real", least=0, optional=True),
        ),
    ),
}


@dataclass(frozen=True)
class Optimizer:
    """The settings of an optimizer, defaults filled in, and where they are written."""

    settings: Mapping[str, Json]
    places: Mapping[str, Span]


@dataclass(frozen=True)
class Optimizers:
    """Elaborates optimizer expressions."""

    findings: Findings

    def optimizer(self, call: ast.Expr, budget: ast.Expr | None, scope: Scope) -> Optimizer | None:
        """The optimizer that an expression makes; None after a report. `budget` is what the stage says."""
        name = dotted(call.callee) if isinstance(call, ast.Call) else ""
        if not isinstance(call, ast.Call) or name not in OPTIMIZERS:
            if not isinstance(call, ast.Missing):
                guess = closest(name, OPTIMIZERS)
                self.findings.add(
                    "N101",
                    f"no optimizer is called `{name}`" if name else "an optimizer is needed here",
                    [at(call.span, "not an optimizer")],
                    helps=[f"did you mean `{guess}`?"] if guess else ["optimizer = adamw(lr = 1e-6)"],
                )
            return None
        bound = bind(OPTIMIZERS[name], call.arguments, call.span, self.findings)
        plain = ("real", "text", "share")
        numbers = Signature(name, tuple(p for p in OPTIMIZERS[name].parameters if p.kind in plain))
        settings = constants(numbers, bound, scope)
        betas = self._betas(bound.given.get("betas"), scope)
        warmup = self._warmup(bound.given.get("warmup"), budget, scope)
        if settings is None or betas is None or warmup is None or not bound.whole:
            return None
        if not settings["floor"]:  # a program that does not use it means what it has always meant
            del settings["floor"]
        moments = {"betas": betas} if name == "adamw" else {}
        return Optimizer({"name": name, **settings, **moments, "warmup": warmup}, dict(bound.spans))

    def _betas(self, expr: ast.Expr | None, scope: Scope) -> list[float] | None:
        if expr is None:
            return [0.9, 0.999]
        values = [constant(item, scope) for item in expr.items] if isinstance(expr, ast.List) else []
        if len(values) == 2 and all(isinstance(value, int | float) and 0 <= value < 1 for value in values):
            return [float(value) for value in values if isinstance(value, int | float)]
        self.findings.add("T105", "`betas` is a pair of numbers", [at(expr.span, "not a pair")], helps=["[0.9, 0.95]"])
        return None

    def _warmup(self, expr: ast.Expr | None, budget: ast.Expr | None, scope: Scope) -> float | dict[str, Json] | None:
        """A share of the steps, or a number of them."""
        if expr is None:
            return 0.0
        if isinstance(expr, ast.Number) and expr.unit == "%":
            share = read(Parameter("warmup", "share"), expr, scope)
            return None if isinstance(share, Unknown) else float(str(share))
        steps = count(expr, scope, ("steps",), "`warmup`", 10)
        if steps is None:
            return None
        if isinstance(budget, ast.Number) and budget.unit in ("steps", "step") and steps.count >= budget.value:
            self.findings.add(
                "L505",
                f"the warm-up of {steps.count} steps is not over before the stage is",
                [at(expr.span, f"{steps.count} steps"), at(budget.span, f"{budget.value} steps in all")],
                helps=["warmup = 3%"],
            )
            return None
        return {"steps": steps.count}
