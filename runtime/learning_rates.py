"""Settings of an optimizer, and its learning rate, a pure function of the step: nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, cos, pi

from ptc.compiler.graph import Json


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Settings of one trained model's optimizer, as in `docs/graph.md`, "Train"."""

    name: str
    """`adamw` or `rmsprop`."""
    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    """Of `adamw`."""
    decay: float = 0.99
    """Of `rmsprop`: of the mean of squares."""
    eps: float
    weight_decay: float
    warmup: float
    """Share of all steps."""
    warmup_steps: int
    """The same as a number, beside a share of 0."""
    schedule: str
    """`constant`, `linear` or `cosine`: the last two fall to `floor` at the end of the budget."""
    floor: float = 0.0
    """A share of `lr`."""
    clip_norm: float | None
    """Largest global norm of the gradient; None or 0 leaves it as it is."""

    @staticmethod
    def of(document: Mapping[str, Json]) -> OptimizerSettings:
        if document["name"] not in {"adamw", "rmsprop"}:
            raise ValueError(f"no optimizer is called `{document['name']}`")
        if document["schedule"] not in {"constant", "linear", "cosine"}:
            raise ValueError(f"no schedule is called `{document['schedule']}`")
        first, second = document.get("betas", (0.9, 0.999))
        clip_norm, warmup = document["clip_norm"], document["warmup"]
        steps = int(warmup["steps"]) if isinstance(warmup, dict) else 0
        return OptimizerSettings(
            name=document["name"],
            lr=float(document["lr"]),
            betas=(float(first), float(second)),
            decay=float(document.get("decay", 0.99)),
            eps=float(document["eps"]),
            weight_decay=float(document["weight_decay"]),
            warmup=0.0 if isinstance(warmup, dict) else float(warmup),
            warmup_steps=steps,
            schedule=document["schedule"],
            floor=float(document.get("floor", 0.0)),
            clip_norm=None if clip_norm is None else float(clip_norm),
        )

    def learning_rate(self, step: int, steps: int) -> float:
        """The rate of update number `step` (0, 1, …) of `steps`.

        Warm-up rises in equal increments to `lr`; unlike in Hugging Face's schedules the first update is not wasted
        on a rate of 0.
        """
        warmup = self.warmup_steps or ceil(self.warmup * steps)
        if step < warmup:
            return self.lr * (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(1, steps - warmup)
        if self.schedule == "constant":
            return self.lr
        fallen = 1 - progress if self.schedule == "linear" else 0.5 * (1 + cos(pi * progress))
        return self.lr * (self.floor + (1 - self.floor) * fallen)
