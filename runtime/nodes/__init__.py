"""The table of node kinds: what each is carried out by.

An implementation is imported when its first node runs, so that a program that only reads rows never waits for torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from ptc.runtime.artifacts import Implementation

STEPS = (
    *("prompts", "slice", "take", "respond", "keep", "shuffle", "concat", "unique", "without", "chat", "split_steps"),
    *("from_verl", "from_open_instruct", "from_sharegpt", "replay"),
    *("only", "best", "best_and_worst", "mix", "join", "against", "hint", "prefix"),
)
"""Steps from rows to rows: those of `row_steps`."""

DERIVED = ("lora", "merge_adapter", "value_head", "reward_head", "retemplate", "result")
"""Models made from one model."""

KINDS: Mapping[str, tuple[str, str]] = {
    "gym": ("sources", "gym"),
    "file": ("sources", "file"),
    "hub_dataset": ("sources", "hub_dataset"),
    "extern_source": ("sources", "extern_source"),
    **dict.fromkeys(STEPS, ("rows", "step")),
    "characters": ("tokenizers", "characters"),
    "bpe": ("tokenizers", "bpe"),
    "tokenizer_of": ("tokenizers", "tokenizer_of"),
    "new_model": ("models", "new_model"),
    "local_model": ("models", "local_model"),
    "hub_model": ("models", "hub_model"),
    **{kind: ("derived", kind) for kind in DERIVED},
    "merge": ("merging", "merge"),
    "sample": ("sample", "sample_node"),
    "score": ("score", "score"),
    "train": ("train", "train"),
    "pass_rate": ("evals", "pass_rate"),
    "reward": ("evals", "reward"),
    "win_rate": ("wins", "win_rate"),
    "bits_per_character": ("likelihoods", "bits_per_character"),
    "informedness": ("informedness", "informedness"),
    "references": ("references", "reference_probe"),
    "evidence": ("evidence", "evidence"),
    "claim": ("claims", "claim"),
    "gate": ("gates", "gate"),
    "export": ("export", "export"),
}
"""Kind to module of this package and name of the function in it."""


def implementation(kind: str) -> Implementation:
    """The function that carries out nodes of a kind. Raises `KeyError` for a kind that is not in `KINDS`."""
    module, name = KINDS[kind]
    return cast(Implementation, getattr(import_module(f"{__name__}.{module}"), name))
