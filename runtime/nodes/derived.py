"""Models made from one model: adapters, heads, another chat template, and parts of what a stage left behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from ptc.compiler.graph import Json, Node
from ptc.runtime.adapters import adapt, lora_config, readapt, write_adapter
from ptc.runtime.artifacts import Artifact, Context, InputWrong
from ptc.runtime.engines.open import load_tokenizer
from ptc.runtime.heads import number_head, with_head
from ptc.runtime.loading import (
    REWARD,
    VALUE,
    is_adapted,
    load_base,
    load_whole,
    save_plain,
)
from ptc.runtime.model_folders import ADAPTER, copy_model, read_json


def lora(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The model with a fresh adapter: one factor drawn from the seed, the other 0, so that it changes nothing."""
    folder = inputs["init"].path
    if is_adapted(folder):
        raise InputWrong("lora: the model has an adapter already: merge it first, lora(merge_adapter(…))")
    base = load_base(folder)
    names = ("rank", "alpha", "dropout", "targets")
    config = lora_config(base, **{name: node.settings[name] for name in names})
    with torch.random.fork_rng():
        torch.manual_seed(node.settings["seed"])
        adapted = adapt(base, config)
    copy_model(folder, out)
    write_adapter(adapted, out / ADAPTER)


def merge_adapter(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Plain weights: W + (alpha / rank) · B · A."""
    folder = inputs["init"].path
    if not is_adapted(folder):
        raise InputWrong("merge_adapter: the model has no adapter: leave `merge_adapter` out")
    save_plain(load_whole(folder), folder, out)


def value_head(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The model with a number at each token instead of a distribution."""
    _headed(inputs["init"].path, VALUE, out)


def reward_head(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The model with one number per text instead of a distribution."""
    _headed(inputs["init"].path, REWARD, out)


def result(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Another trained or tracked model of a stage than the one that the stage is for."""
    copy_model(inputs["stage"].path / node.settings["model"], out)


def retemplate(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The same weights under another chat template, and another token that ends a turn where one is named."""
    copy_model(inputs["init"].path, out)
    tokenizer = read_json(out / "tokenizer_config.json")
    tokenizer.pop("chat_template", None)
    (out / "chat_template.json").unlink(missing_ok=True)
    (out / "chat_template.jinja").write_text(node.settings["template"], encoding="utf-8")
    end = node.settings.get("end")
    if end is not None:
        number = _number_of(end, inputs["init"].path)
        tokenizer["eos_token"] = end
        for name in ("config.json", "generation_config.json"):
            if (out / name).is_file():
                _write(read_json(out / name) | {"eos_token_id": number}, out / name)
        if (out / "special_tokens_map.json").is_file():
            _write(read_json(out / "special_tokens_map.json") | {"eos_token": end}, out / "special_tokens_map.json")
    _write(tokenizer, out / "tokenizer_config.json")
    _prove_template(out)


def _number_of(token: str, folder: Path) -> int:
    known: dict[str, int] = load_tokenizer(folder).get_vocab()
    if token not in known:
        raise InputWrong(
            f'retemplate: the tokenizer has no token "{token}" that could end a turn: name one that it has'
        )
    return known[token]


def _prove_template(folder: Path) -> None:
    from jinja2 import TemplateError

    try:
        load_tokenizer(folder).apply_chat_template([{"role": "user", "content": "…"}], tokenize=False)
    except TemplateError as problem:
        raise InputWrong(f"retemplate: the chat template cannot be rendered ({problem}): mend it") from problem


def _write(document: Mapping[str, Json], path: Path) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _headed(folder: Path, head: str, out: Path) -> None:
    """The model with the head, and the adapter that it had, which then trains the head as well."""
    tokenizer = load_tokenizer(folder)
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    base = load_base(folder)
    if not is_adapted(folder):
        save_plain(with_head(base, number_head(base), folder, head, pad), folder, out)
        return
    headed = with_head(base, number_head(load_whole(folder)), folder, head, pad)
    save_plain(headed, folder, out)
    with torch.random.fork_rng():
        adapted = readapt(headed, folder / ADAPTER)
    write_adapter(adapted, out / ADAPTER)
