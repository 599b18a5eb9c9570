"""`trl.toml`: what TRL can minimise, what says the same here, and what is left out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DOCUMENT = tomllib.loads((Path(__file__).parent / "trl.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Case:
    """One loss of TRL beside one objective."""

    trainer: str
    """As it is called in `trl`, ``experimental.gkd.GKDTrainer`` included."""
    loss: str
    """TRL's loss type, or what its loss is called where it has no types."""
    ours: str
    """The call, or a sum of calls, as a program writes it."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    engine: str = "transformers"
    """``vllm``: the responses were drawn by an engine that says other log-probabilities than the trainer."""
    prompt_tokens: int = 0
    """How long every prompt is; 0 draws lengths at random."""
    margin: float = 0.0
    """By which each chosen score must lead, a column of TRL's data set."""
    note: str = ""

    @property
    def name(self) -> str:
        """``DPOTrainer sigmoid, ld_alpha=0.5``"""
        extra = [f"{key}={value}" for key, value in self.settings.items() if key != "loss_type"]
        extra += [f"margin={self.margin}"] if self.margin else []
        return " ".join((self.trainer.rpartition(".")[2], ", ".join((self.loss, *extra))))


@dataclass(frozen=True)
class Omission:
    """What TRL can minimise and the library cannot."""

    trainer: str
    why: str
    loss: tuple[str, ...] = ()
    setting: str = ""

    @property
    def name(self) -> str:
        return " ".join((self.trainer.rpartition(".")[2], ", ".join(self.loss) or self.setting))


CASES = tuple(Case(**entry) for entry in DOCUMENT["case"])
OMISSIONS = tuple(Omission(**{**entry, "loss": tuple(entry.get("loss", ()))}) for entry in DOCUMENT["omitted"])
