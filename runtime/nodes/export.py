"""The node kind `export`: a model's files, proved to load as they are by plain transformers.

The executor puts a copy where the program says (`runtime/exports.py`), atomically, on every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context, InvariantBroken
from ptc.runtime.loading import LANGUAGE, head_of, load_whole
from ptc.runtime.model_folders import copy_files, scan

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def export(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The files of the model. Raises `InvariantBroken` if a user could not load them, chat with them or stop them."""
    copy_files(scan(inputs["model"].path), out)
    _prove_usable(out)


def _prove_usable(folder: Path) -> None:
    from transformers import AutoTokenizer

    model = load_whole(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.chat_template is None:
        raise InvariantBroken(f"the export has no chat template: {folder} lacks chat_template.jinja")
    if head_of(folder) == LANGUAGE:
        _prove_that_it_stops(model, tokenizer)
    vocabulary = model.config.vocab_size
    if len(tokenizer) > vocabulary:
        raise InvariantBroken(f"the export has {len(tokenizer)} tokens and embeddings for {vocabulary}")


def _prove_that_it_stops(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    ends = model.generation_config.eos_token_id
    if tokenizer.eos_token_id not in (ends if isinstance(ends, list) else [ends]):
        raise InvariantBroken(
            f"the export would not stop: its tokenizer ends a turn with {tokenizer.eos_token_id}, "
            f"generation_config.json says {ends}"
        )
