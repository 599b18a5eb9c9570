"""A `train` node by hand: settings, sources in memory, and a context that keeps what it is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from loss_cases import VOCABULARY, pairs, rollouts

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Context, Interrupted, Progress
from ptc.runtime.batches import Draw, Sample
from ptc.runtime.sampling import seed_of
from ptc.runtime.stateless import Stateless

ADAMW = {
    "name": "adamw",
    "lr": 1e-2,
    "betas": [0.9, 0.95],
    "eps": 1e-8,
    "weight_decay": 0.1,
    "warmup": 0.2,
    "schedule": "cosine",
    "clip_norm": 1.0,
}


def settings(
    loss: dict[str, Any], *, count: int = 4, budget: int = 10, unit: str = "steps", models: Sequence[str] = ("m0", "m1")
) -> dict[str, Any]:
    return {
        "models": {name: {"as": "train" if name == "m0" else "freeze"} for name in models},
        "flows": {"s0": []},
        "terms": [{"weight": 1.0, "source": "s0", "loss": loss}],
        "batch": {"s0": {"count": count, "unit": "samples"}},
        "budget": {"count": budget, "unit": unit},
        "optimizer": {"m0": ADAMW},
        "max_length": None,
        "result": "m0",
        "seed": 7,
    }


@dataclass
class MemoryFlow(Stateless):
    """Groups that are there already."""

    groups: list[list[Sample]]

    @property
    def size(self) -> int:
        return len(self.groups)

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        return Draw([self.groups[unit] for unit in units], {"step_drawn": float(step)})


@dataclass
class AttemptsFlow(Stateless):
    """Attempts drawn, by hashing, from the weights of the model as they are now: a live source in miniature."""

    model: torch.nn.Module
    prompts: list[list[int]]
    attempts: int = 4

    @property
    def size(self) -> int:
        return len(self.prompts)

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        rows = [(unit, attempt) for unit in units for attempt in range(self.attempts)]
        tokens = torch.tensor([self.prompts[unit] for unit, _ in rows])
        uniforms = torch.tensor([seed_of(3, "sample", step, *row) % 10_000 / 10_000 for row in rows])
        logprobs = []
        for _ in range(4):
            with torch.no_grad():
                distribution = self.model(input_ids=tokens).logits[:, -1].log_softmax(-1)
            drawn = (distribution.exp().cumsum(-1) < uniforms[:, None]).sum(-1, keepdim=True).clamp(max=VOCABULARY - 1)
            logprobs.append(distribution.gather(1, drawn))
            tokens = torch.cat([tokens, drawn], dim=1)
            uniforms = uniforms * 7 % 1
        samples = [
            Sample({"response": (row[:3], row[3:])}, {"reward": float(sum(row) % 3)}, {"logprobs": own})
            for row, own in zip(tokens.tolist(), torch.cat(logprobs, dim=1).tolist(), strict=True)
        ]
        return Draw([samples[start : start + self.attempts] for start in range(0, len(rows), self.attempts)])


def flow_for(objective: str, policy: torch.nn.Module) -> MemoryFlow | AttemptsFlow:
    if objective == "dpo":
        return MemoryFlow(pairs(5, count=10))
    if objective == "sft":
        return MemoryFlow([[sample] for group in rollouts(5) for sample in group])
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(0, VOCABULARY, (3,), generator=generator).tolist() for _ in range(10)]
    return AttemptsFlow(policy, prompts)


@dataclass
class FolderPartial:
    """Sealed pieces as folders; remembers every piece it ever held in `history`."""

    folder: Path
    history: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def read(self, name: str) -> Path:
        return self.folder / name

    def write(self, name: str, fill: Callable[[Path], None]) -> None:
        path = self.folder / name
        path.mkdir(parents=True)
        fill(path)
        self.history.append(name)

    def forget(self, name: str) -> None:
        shutil.rmtree(self.folder / name)


@dataclass
class Stage:
    """A context with what came out of it."""

    partial: FolderPartial
    profile: Any = None
    interrupt_after: int | None = None
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)

    @staticmethod
    def at(folder: Path, *, profile: Any = None, interrupt_after: int | None = None) -> Stage:
        folder.mkdir(parents=True, exist_ok=True)
        return Stage(FolderPartial(folder), profile, interrupt_after)

    def context(self, node: Node) -> Context:
        return Context(node, self.partial, self.profile, self._heartbeat, self.rows.append)

    def metric(self, name: str) -> list[float]:
        return [row[name] for row in self.rows if name in row]

    def _heartbeat(self, progress: Progress) -> None:
        self.progress.append(progress)
        if progress.done == self.interrupt_after:
            raise Interrupted
