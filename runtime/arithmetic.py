"""How many floating-point operations a token takes a model, by the shapes of its parameters."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

from ptc.runtime.adapters import AdapterOff
from ptc.runtime.costs import Arithmetic

_KNOWN: WeakKeyDictionary[torch.nn.Module, Arithmetic] = WeakKeyDictionary()


def arithmetic_of(model: torch.nn.Module) -> Arithmetic:
    """Of a model as it stands: what learns in it is not to change any more."""
    if model not in _KNOWN:
        _KNOWN[model] = _base(model.adapted) if isinstance(model, AdapterOff) else _counted(model, adapter=True)
    return _KNOWN[model]


@cache
def arithmetic_of_folder(folder: Path) -> Arithmetic:
    """Of the language model whose checkpoint this is, without its weights being read."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from_config: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        return _counted(from_config(AutoConfig.from_pretrained(folder)), adapter=True)


def _base(model: torch.nn.Module) -> Arithmetic:
    """Of an adapted model whose adapter is off: nothing of it learns then."""
    known = _counted(model, adapter=False)
    return Arithmetic(known.weights, 0, known.attention)


def _counted(model: torch.nn.Module, adapter: bool) -> Arithmetic:
    config: Any = model.config
    text = config.get_text_config()
    looked_up = {id(one.weight) for one in model.modules() if isinstance(one, torch.nn.Embedding)}
    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    multiplied = [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.dim() > 1
        and (id(parameter) not in looked_up or (head is not None and parameter is head.weight))
        and (adapter or "lora_" not in name)
        and ".original_module." not in name
    ]
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Arithmetic(
        weights=sum(_met(parameter, text) for parameter in multiplied),
        trained=sum(_met(parameter, text) for parameter in multiplied if parameter.requires_grad),
        attention=text.num_hidden_layers * text.num_attention_heads * size,
        again=bool(getattr(model, "is_gradient_checkpointing", False)),
    )


def _met(parameter: torch.Tensor, config: Any) -> int:
    """The numbers of a matrix that one token meets: of a stack of experts, those of as many as it is sent to."""
    if parameter.dim() == 2:
        return parameter.numel()
    return parameter.numel() * int(getattr(config, "num_experts_per_tok", parameter.shape[0])) // parameter.shape[0]
