"""Twenty optimizer steps by `ptc run` and by TRL's Trainer, and how far their weights are apart."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trl_runs as runs

STEPS, BATCH = 20, 4
PROGRAM = """edition 2026
from std.objectives import {objective}
from std.verifiers import overlong
source rows = jsonl("rows.jsonl")
model base = local.model("model")
stage tuned {{
{body}
  optimizer = adamw(lr = {rate})
  batch = {batch}
  budget = {steps} steps
}}
export tuned to "ours"
"""


@dataclass(frozen=True)
class Steps:
    """Where two trainings ended, as relative norms of the difference of all weights."""

    apart: float
    """Ours from TRL's."""
    moved: float
    """Ours from where both began."""
    log: list[dict[str, float]]
    """What TRL logged, …"""
    metrics: list[dict[str, float]]
    """… and what stands in `metrics.jsonl` of the last training here."""


def compared(folder: Path, trainer: Any) -> Steps:
    trainer.train()
    assert trainer.state.global_step == STEPS
    trainer.save_model(str(folder / "theirs"))
    mine, other, before = (runs.weights(folder / name) for name in ("ours", "theirs", "model"))
    return Steps(runs.apart(mine, other), runs.apart(mine, before), trainer.state.log_history, runs.metrics(folder))


def program(objective: str, *body: str, rate: float, batch: str = f"{BATCH} samples") -> str:
    return PROGRAM.format(
        objective=objective, body="\n".join(f"  {line}" for line in body), rate=rate, batch=batch, steps=STEPS
    )


def sequential(folder: Path, **settings: Any) -> dict[str, Any]:
    """What TRL is told where it goes through rows in the order in which they are given."""
    order = {"train_sampling_strategy": "sequential", "per_device_train_batch_size": BATCH, "max_steps": STEPS}
    return runs.arguments(folder, learning_rate=1e-3, **order, **settings)


def sft(folder: Path) -> Steps:
    from trl import SFTConfig, SFTTrainer

    rows = runs.demonstrations(STEPS * BATCH)
    runs.write(folder / "rows.jsonl", rows)
    model = runs.tiny(folder / "model", 1)
    drawn = runs.ours(folder, program("sft", "train policy = base", "minimize sft(rows, policy)", rate=1e-3))
    settings = sequential(folder)
    trainer = SFTTrainer(str(model), args=SFTConfig(**settings), train_dataset=runs.in_order(rows, drawn))
    return compared(folder, trainer)


def dpo(folder: Path) -> Steps:
    from trl import DPOConfig, DPOTrainer

    rows = runs.preferences(STEPS * BATCH)
    runs.write(folder / "rows.jsonl", rows)
    model = runs.tiny(folder / "model", 1)
    body = ("train policy = base", "freeze reference = base", "minimize dpo(rows, policy, reference)")
    drawn = runs.ours(folder, program("dpo", *body, rate=1e-3))
    settings = sequential(folder)
    trainer = DPOTrainer(str(model), args=DPOConfig(**settings), train_dataset=runs.in_order(rows, drawn))
    return compared(folder, trainer)


def speaking(folder: Path) -> Path:
    """A model that has learned to end its answers, so that their lengths differ, and with them their rewards."""
    runs.write(folder / "rows.jsonl", runs.demonstrations(64))
    runs.tiny(folder / "model", 1)
    lesson = program("sft", "train policy = base", "minimize sft(rows, policy)", rate=1e-2, batch="16 samples")
    runs.ours(folder, lesson.replace(f"{STEPS} steps", "60 steps"))
    shutil.rmtree(folder / "model")
    (folder / "ours").rename(folder / "model")
    return folder / "model"


def grpo(folder: Path) -> Steps:
    """Each rollout is learned from twice, so that the second time the ratio is not 1 and clips."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    passes, prompts, attempts = 2, 4, 4
    model = speaking(folder)
    runs.write(folder / "rows.jsonl", [{"prompt": row["prompt"]} for row in runs.demonstrations(40)])
    body = (
        "train policy = base",
        f"source rollouts = rows |> sample(policy, n = {attempts}, max_tokens = 24)"
        " |> score(overlong(limit = 24, buffer = 20))",
        "minimize grpo(rollouts, policy)",
        f"passes = {passes}",
    )
    drawn = runs.ours(folder, program("grpo", *body, rate=3e-3, batch=f"{prompts} prompts"))
    rollouts = iter(drawn.draws[::passes])

    def rollout(*_: Any) -> dict[str, Any]:
        samples = [sample for group in next(rollouts)["s0"].groups for sample in group]
        return {
            "prompt_ids": [list(sample.sequences["response"][0]) for sample in samples],
            "completion_ids": [list(sample.sequences["response"][1]) for sample in samples],
            "logprobs": [list(sample.token_numbers["logprobs"]) for sample in samples],
            "given": [sample.numbers["reward"] for sample in samples],
        }

    settings = runs.arguments(
        folder,
        learning_rate=3e-3,
        loss_type="grpo",
        num_generations=attempts,
        num_iterations=passes,
        per_device_train_batch_size=prompts * attempts,
        max_steps=STEPS,
    )
    trainer = GRPOTrainer(
        str(model),
        reward_funcs=lambda completions, given, **_: given,
        args=GRPOConfig(**settings),
        train_dataset=Dataset.from_list([{"prompt": "never read"}] * prompts * STEPS),
        rollout_func=rollout,
    )
    return compared(folder, trainer)


def reward_model(folder: Path) -> Steps:
    """The head is new: TRL begins with the one that the program made."""
    from trl import RewardConfig, RewardTrainer

    rows = runs.preferences(STEPS * BATCH)
    runs.write(folder / "rows.jsonl", rows)
    runs.tiny(folder / "base", 1)
    body = ("train judge = start", "minimize bradley_terry(rows, judge, center = 0.01)")
    text = program("bradley_terry", *body, rate=1e-3).replace(
        'model base = local.model("model")',
        'model start = reward_head(local.model("base"))\nexport start to "model"',
    )
    drawn = runs.ours(folder, text)
    settings = sequential(folder, center_rewards_coefficient=0.01)
    trainer = RewardTrainer(
        str(folder / "model"), args=RewardConfig(**settings), train_dataset=runs.in_order(rows, drawn)
    )
    return compared(folder, trainer)


RUNS = {"SFT": sft, "DPO": dpo, "GRPO, each rollout twice": grpo, "reward model": reward_model}
