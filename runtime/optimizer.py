"""AdamW (Loshchilov and Hutter, 2019) and its learning rate, a pure function of the step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, cos, pi

import torch

from ptc.compiler.graph import Json


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Settings of one trained model's optimizer, as in `docs/graph.md`, "Train"."""

    lr: float
    betas: tuple[float, float]
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
    clip_norm: float
    """Largest global norm of the gradient; 0 leaves it as it is."""

    @staticmethod
    def of(document: Mapping[str, Json]) -> OptimizerSettings:
        if document["name"] != "adamw":
            raise ValueError(f"no optimizer is called `{document['name']}`")
        if document["schedule"] not in {"constant", "linear", "cosine"}:
            raise ValueError(f"no schedule is called `{document['schedule']}`")
        first, second = document["betas"]
        warmup = document["warmup"]
        steps = int(warmup["steps"]) if isinstance(warmup, dict) else 0
        return OptimizerSettings(
            lr=float(document["lr"]),
            betas=(float(first), float(second)),
            eps=float(document["eps"]),
            weight_decay=float(document["weight_decay"]),
            warmup=0.0 if isinstance(warmup, dict) else float(warmup),
            warmup_steps=steps,
            schedule=document["schedule"],
            floor=float(document.get("floor", 0.0)),
            clip_norm=float(document["clip_norm"]),
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


def adamw(model: torch.nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """An optimizer of the model's parameters. Weight decay spares vectors (norms, biases), as is customary."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.dim() > 1]
    vectors = [parameter for parameter in parameters if parameter.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.lr,
        betas=settings.betas,
        eps=settings.eps,
        fused=True,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def optimizer_tensors(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state as named tensors, ``<parameter>/<exp_avg, exp_avg_sq or step>``; none at step 0."""
    return {f"{name}/{key}": value.clone() for name, state in _states(model, optimizer) for key, value in state.items()}


def load_optimizer_tensors(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]
) -> None:
    """The inverse of `optimizer_tensors`."""
    named = dict(model.named_parameters())
    optimizer.state.clear()
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        parameter = named[name]
        optimizer.state[parameter][key] = value.to(parameter.device)


def _states(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> Iterator[tuple[str, Mapping[str, torch.Tensor]]]:
    for name, parameter in model.named_parameters():
        if parameter in optimizer.state:
            yield name, optimizer.state[parameter]
