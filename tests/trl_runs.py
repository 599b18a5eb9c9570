"""One training twice, by `ptc run` and by TRL's own Trainer: the same weights to begin with, the same rows in the same
order, the same optimizer. Our run is made first; what it drew, in which order, is what TRL is given."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_tokenizers import chatml
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from ptc.cli import main
from ptc.runtime.batches import Draw, Order
from ptc.runtime.supply import Supply

Weights = Mapping[str, torch.Tensor]
Row = Mapping[str, Any]
WORDS = ("red", "green", "blue", "one", "two", "three", "north", "south", "sun", "moon", "tree", "river", "yes", "no")


TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML whose turns end in the end-of-sequence token alone, since TRL also learns what a template writes behind it,
and that says what the assistant generates, since TRL cannot tell otherwise."""


def tokenizer() -> PreTrainedTokenizerFast:
    return chatml(TEMPLATE, size=300)


def tiny(folder: Path, seed: int) -> Path:
    """A model of some ten thousand parameters with its tokenizer."""
    torch.manual_seed(seed)
    words = tokenizer()
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def sentence(seed: int, least: int = 1, most: int = 6) -> str:
    generator = torch.Generator().manual_seed(seed)
    count = int(torch.randint(least, most + 1, (1,), generator=generator))
    return " ".join(WORDS[int(torch.randint(len(WORDS), (1,), generator=generator))] for _ in range(count))


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def demonstrations(count: int) -> list[Row]:
    """Prompts and completions in the layout of TRL's conversations, lengths unequal."""
    return [
        {"prompt": [said("user", f"{n} {sentence(n)}?")], "completion": [said("assistant", sentence(1000 + n, 1, 9))]}
        for n in range(count)
    ]


def preferences(count: int) -> list[Row]:
    return [
        {
            "prompt": [said("user", f"{n} {sentence(n)}?")],
            "chosen": [said("assistant", sentence(1000 + n, 1, 9))],
            "rejected": [said("assistant", sentence(2000 + n, 1, 9))],
        }
        for n in range(count)
    ]


def write(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@dataclass
class Drawn:
    """What a run learned from."""

    units: list[list[int]] = field(default_factory=list)
    """Of each step, the rows or prompts."""
    draws: list[Mapping[str, Draw]] = field(default_factory=list)


@contextmanager
def watched() -> Iterator[Drawn]:
    """Notes what the trainer asks its sources for while it runs in this process."""
    drawn = Drawn()
    units, draws = Order.units, Supply.draws

    def noted_units(order: Order, step: int) -> list[int]:
        drawn.units.append(units(order, step))
        return drawn.units[-1]

    def noted_draws(supply: Supply, step: int) -> dict[str, Draw]:
        found = draws(supply, step)
        drawn.draws.append(found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Order, "units", noted_units)
        patch.setattr(Supply, "draws", noted_draws)
        yield drawn


def ours(folder: Path, program: str) -> Drawn:
    """`ptc run` of a program in a folder."""
    (folder / "program.pt").write_text(program, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, watched() as drawn:
        patch.chdir(folder)
        assert main(["run", "program.pt"]) == 0
    return drawn


def metrics(folder: Path) -> list[dict[str, float]]:
    """The steps of the last run in a folder."""
    path = max(folder.glob(".ptc/runs/*/metrics.jsonl"), key=lambda path: path.stat().st_mtime)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["kind"] == "train" and "event" not in row]


def weights(folder: Path) -> Weights:
    return load_file(folder / "model.safetensors")


def apart(one: Weights, other: Weights) -> float:
    """‖w - w′‖ / ‖w′‖ over all weights."""
    assert one.keys() == other.keys()
    difference = sum(float(((one[name] - other[name]).double() ** 2).sum()) for name in other)
    return math.sqrt(difference / sum(float((tensor.double() ** 2).sum()) for tensor in other.values()))


def arguments(folder: Path, **settings: Any) -> dict[str, Any]:
    """What a program says by default, as TRL is told it; and that nothing is shuffled again."""
    return {
        "output_dir": str(folder / "trl"),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "lr_scheduler_type": "constant",
        **settings,
    }


def in_order(rows: Sequence[Row], drawn: Drawn) -> Any:
    """A data set of the rows, as they were drawn."""
    from datasets import Dataset

    return Dataset.from_list([dict(rows[unit]) for units in drawn.units for unit in units])
