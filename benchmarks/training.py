"""CPU seconds per training step against TRL, on one model and task: `python benchmarks/training.py` (`dev` extra).

Two-digit sums, a Qwen3 of 107k parameters, SFT on 256 rows a step and GRPO on 32 prompts x 8 attempts. Each side is a
process of its own with one thread. Printed are medians, and ours as a share of TRL's; CPU time, unlike the clock,
does not measure who else is using the machine.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STEPS = 40
PROGRAM = f"""edition 2026
from std.objectives import sft, grpo
from std.verifiers import exact

source tasks = jsonl("sums.jsonl") |> prompts(.prompt, answer = .answer)
source demos = tasks |> respond(.answer)
model base = new.model("qwen3", hidden = 64, layers = 2, tokenizer = characters(tasks))

stage supervised {{
  train policy = base
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-3)
  batch = 256 samples
  budget = {STEPS} steps
}}

stage rewarded {{
  train policy = supervised
  source rollouts = tasks |> sample(policy, n = 8, max_tokens = 5) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 1e-4)
  batch = 32 prompts
  budget = {STEPS} steps
}}

export supervised to "supervised"
export rewarded to "rewarded"
"""


def write_task(folder: Path) -> None:
    generator = random.Random(0)
    pairs = sorted({(generator.randrange(10, 100), generator.randrange(10, 100)) for _ in range(4_000)})
    rows = [{"prompt": f"{left}+{right}=", "answer": str(left + right)} for left, right in pairs]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "sums.pt").write_text(PROGRAM)


def ours(folder: Path) -> dict[str, float]:
    """Median seconds per step of each stage, from the run's own metrics."""
    run([sys.executable, __file__, "--ptc"], folder)
    times: dict[str, list[float]] = {}
    for path in folder.glob(".ptc/runs/*/metrics.jsonl"):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if "step_time" in row:
                times.setdefault("grpo" if "reward" in row else "sft", []).append(row["step_time"])
    return {name: statistics.median(values) for name, values in times.items()}


def theirs(folder: Path) -> dict[str, float]:
    run([sys.executable, __file__, "--trl", str(folder)], folder)
    measured: dict[str, float] = json.loads((folder / "trl.json").read_text())
    return measured


def run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    subprocess.run(
        command,
        check=True,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=1_800,
    )


def trl(folder: Path) -> None:
    """The same two stages in TRL; writes `trl.json`."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

    torch.set_num_threads(1)

    class Clock(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.ticks: list[float] = []

        def on_step_end(self, *arguments: Any, **settings: Any) -> None:
            self.ticks.append(time.process_time())

        def median(self) -> float:
            return statistics.median(after - before for before, after in zip(self.ticks, self.ticks[1:], strict=False))

    rows = [json.loads(line) for line in (folder / "sums.jsonl").read_text().splitlines()]
    tokenizer = AutoTokenizer.from_pretrained(folder / "supervised")
    common = {"output_dir": str(folder / "trl"), "use_cpu": True, "report_to": [], "bf16": False, "max_steps": STEPS}
    common |= {"per_device_train_batch_size": 256, "save_strategy": "no", "gradient_checkpointing": False}
    chats = [[{"role": "user", "content": row["prompt"]}] for row in rows]
    answers = [[{"role": "assistant", "content": row["answer"]}] for row in rows]
    supervised, rewarded = Clock(), Clock()
    data = Dataset.from_dict({"prompt": chats, "completion": answers})
    settings = SFTConfig(**common, learning_rate=1e-3)
    SFTTrainer(
        str(folder / "supervised"), settings, train_dataset=data, processing_class=tokenizer, callbacks=[supervised]
    ).train()

    def exact(completions: Any, answer: list[str], **_: Any) -> list[float]:
        return [float(text[0]["content"] == gold) for text, gold in zip(completions, answer, strict=True)]

    data = Dataset.from_dict({"prompt": chats, "answer": [row["answer"] for row in rows]})
    grouped = GRPOConfig(**common, learning_rate=1e-4, num_generations=8, max_completion_length=5, temperature=1.0)
    GRPOTrainer(
        str(folder / "supervised"),
        reward_funcs=exact,
        args=grouped,
        train_dataset=data,
        processing_class=tokenizer,
        callbacks=[rewarded],
    ).train()
    (folder / "trl.json").write_text(json.dumps({"sft": supervised.median(), "grpo": rewarded.median()}))


def ptc() -> None:
    """`ptc run`, whose `step_time` is told by this process's CPU clock."""
    from ptc import cli
    from ptc.runtime import trainer

    trainer.monotonic = time.process_time
    cli.main(["run", "sums.pt"])


def main() -> None:
    if "--ptc" in sys.argv:
        ptc()
        return
    if "--trl" in sys.argv:
        trl(Path(sys.argv[-1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_task(folder)
        mine, other = ours(folder), theirs(folder)
    print("CPU s per step       ptc      TRL   ptc / TRL")
    for objective in ("sft", "grpo"):
        share = mine[objective] / other[objective]
        print(f"{objective:16} {mine[objective]:8.4f} {other[objective]:8.4f} {share:8.2f}")


if __name__ == "__main__":
    main()
