"""Checks of a stage's settings against what is known to work, and against where it would run."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.checks.view import View, teachers
from ptc.compiler.counting import steps
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import preferring, rewarded, supervised

BANDS = {
    "learning from rewards": (1e-7, 5e-6),
    "learning from pairs": (5e-8, 1e-6),
    "imitation": (2e-6, 1e-4),
}
"""Learning rates of published recipes, full weights (`methods.md`, section 3; engineering default at the edges)."""
ADAPTER_FACTOR = 10.0
"""How much higher they are for adapters."""


def check_lr_out_of_band(view: View, findings: Findings) -> None:
    """L508: a learning rate outside those of published recipes for stages of its kind."""
    for stage in view.program.stages:
        kind, rate = _kind(view, stage), stage.optimizer.get("lr")
        if kind is None or not isinstance(rate, int | float):
            continue
        factor = ADAPTER_FACTOR if stage.learner.type.adapter is not None else 1.0
        low, high = (bound * factor for bound in BANDS[kind])
        if low <= rate <= high:
            continue
        findings.add(
            "L508",
            f"a learning rate of {_short(rate)} for {kind}" + (" through an adapter" if factor > 1 else ""),
            [
                at(stage.places.get("lr", stage.places.get("optimizer", stage.span)), "unusual"),
                at(stage.terms[0].span, kind),
            ],
            [f"published recipes lie between {_short(low)} and {_short(high)}"],
            [f"lr = {_short(high if rate > high else low)}"],
        )


def check_warmup_too_long(view: View, findings: Findings) -> None:
    """L505: a warm-up that is not over before the stage is. Where both are steps it has been said already."""
    for stage in view.program.stages:
        total = steps(stage)
        optimizers = [("", stage.optimizer), *((f"{role}.", own) for role, own in stage.optimizers.items())]
        for prefix, optimizer in optimizers:
            warmup = optimizer.get("warmup")
            counted = int(warmup["steps"]) if isinstance(warmup, dict) else 0
            whole = isinstance(warmup, float) and warmup >= 1
            late = total is not None and stage.budget.unit == "epochs" and counted >= total
            if not whole and not late:
                continue
            length = "the whole budget" if whole else f"{counted} steps"
            findings.add(
                "L505",
                f"the warm-up of {length} is not over before the stage is",
                [
                    at(stage.places.get(f"{prefix}warmup", stage.places.get("optimizer", stage.span)), length),
                    at(stage.places.get("budget", stage.span), f"{total} steps in all" if total else "the budget"),
                ],
                helps=["warmup = 3%"],
            )


def _kind(view: View, stage: core.Stage) -> str | None:
    """What a stage does, as far as bands are published for it: nothing for critics, distillation and new models."""
    fresh = any(root.kind == "new_model" for root in view.lineage.roots(stage.learner.init))
    if fresh or stage.learner.type.head != "language" or teachers(stage):
        return None
    if any(rewarded(term) for term in stage.terms):
        return "learning from rewards"
    if any(preferring(term) for term in stage.terms):
        return "learning from pairs"
    return "imitation" if any(supervised(term) for term in stage.terms) else None


def _short(rate: float) -> str:
    """``5e-6``, as programs spell it."""
    mantissa, power = f"{rate:.2e}".split("e")
    return f"{float(mantissa):g}e{int(power)}"
