"""Dropout: as much as the models' configurations say, or as the stage says; drawn from (seed, step) alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from ptc.runtime.sampling import seed_of

RATES = ("attention_dropout", "dropout", "activation_dropout")
"""Attributes in which modules of transformers hold a rate that they hand to a function."""

ADAPTER = "lora_dropout"
"""What PEFT calls the place where an adapter drops values."""


def set_dropout(model: torch.nn.Module, rate: float) -> None:
    """Gives every place of the model that drops values this rate; an adapter has its own, from where it was made."""
    for path, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and ADAPTER not in path.split("."):
            module.p = rate
        for name in RATES:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, rate)


def drops(model: torch.nn.Module) -> bool:
    """Whether a model in training mode drops anything."""
    return any(
        (isinstance(module, torch.nn.Dropout) and module.p > 0)
        or any(isinstance(rate := getattr(module, name, None), float) and rate > 0 for name in RATES)
        for module in model.modules()
    )


@contextmanager
def training_mode(models: Sequence[torch.nn.Module], seed: int, *parts: int | str) -> Iterator[None]:
    """Inside the block the models drop values, drawn from the seed and the parts alone."""
    if not models:
        yield
        return
    torch.manual_seed(seed_of(seed, "dropout", *parts))
    for model in models:
        model.train(True)
    try:
        yield
    finally:
        for model in models:
            model.train(False)
