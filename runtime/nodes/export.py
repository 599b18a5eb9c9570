"""The node kind `export`: a model's files, proved to load as they are by plain transformers.

A model with an adapter is the base's files with PEFT's two beside them: transformers loads that as one model, PEFT as
an adapter, vLLM as both. The executor puts a copy where the program says (`runtime/exports.py`), atomically, on every
run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ptc.compiler.graph import Node
from ptc.runtime.adapters import write_config
from ptc.runtime.artifacts import Artifact, Context, InvariantBroken
from ptc.runtime.loading import LANGUAGE, head_of, is_adapted, load_base
from ptc.runtime.model_folders import (
    ADAPTER,
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    copy_files,
    read_json,
    scan,
    share_files,
    write_index,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def export(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The files of the model. Raises `InvariantBroken` if a user could not load them, chat with them or stop them."""
    model = inputs["model"].path
    share_files(scan(model), out)
    if is_adapted(model):
        base = node.settings.get("base") or {}
        write_index(out)
        copy_files([model / ADAPTER / ADAPTER_WEIGHTS], out)
        write_config(read_json(model / ADAPTER / ADAPTER_CONFIG), out, base.get("name"), base.get("revision"))
    _prove_usable(out)


def _prove_usable(folder: Path) -> None:
    from transformers import AutoTokenizer

    model = load_base(folder)  # with its adapter, where that is beside it
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.chat_template is None:
        raise InvariantBroken(
            f"the export has no chat template, {folder} lacks chat_template.jinja: retemplate(…) first"
        )
    if head_of(folder) == LANGUAGE:
        _prove_that_it_stops(model, tokenizer)
    vocabulary = model.config.vocab_size
    if len(tokenizer) > vocabulary:
        raise InvariantBroken(
            f"the export has {len(tokenizer)} tokens and embeddings for {vocabulary}: start from a model "
            "that has one for each"
        )


def _prove_that_it_stops(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    ends = model.generation_config.eos_token_id
    if tokenizer.eos_token_id not in (ends if isinstance(ends, list) else [ends]):
        raise InvariantBroken(
            f"the export would not stop: its tokenizer ends a turn with {tokenizer.eos_token_id}, "
            f"generation_config.json says {ends}: write the same into both files of the model that it starts from"
        )
