"""Heads that give numbers instead of tokens: one per text (reward models) or one per token (critics)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from ptc.runtime.adapters import HEADS
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.loading import KINDS

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def with_head(
    body: PreTrainedModel, number: torch.nn.Module | None, folder: Path, head: str, pad: int
) -> PreTrainedModel:
    """A model with the body's weights that ends in a `head` of one number.

    The number is 0 whatever is read, so that two texts are equal before anything is learned (Bradley–Terry: ln 2); made
    of a model that ended in a `number` already it stays that number, as a critic begins at a reward model (Ouyang et
    al., 2022, arXiv 2203.02155). Raises `InputWrong` where transformers has no such head for the architecture.
    """
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    config.num_labels = 1
    config.classifier_dropout = 0.0  # what drops values says so by `dropout`, in the stage
    if config.pad_token_id is None:
        config.pad_token_id = pad
    with torch.random.fork_rng():
        try:
            headed: PreTrainedModel = getattr(transformers, KINDS[head]).from_config(config, dtype=torch.float32)
        except ValueError as problem:
            raise InputWrong(
                f"transformers has no {KINDS[head]} for models of type `{config.model_type}`: take a model of another"
                " family"
            ) from problem
    _body(headed).load_state_dict(_body(body).state_dict())
    new = number_head(headed)
    assert new is not None, "a head that transformers has just made"
    with torch.no_grad():
        for parameter in new.parameters():
            parameter.zero_()
        if number is not None:
            cast(torch.Tensor, new.weight).copy_(cast(torch.Tensor, number.weight))
    return headed


def number_head(model: torch.nn.Module) -> torch.nn.Module | None:
    """The layer that makes a number of a hidden state; None for a language model."""
    return next((getattr(model, name) for name in HEADS if hasattr(model, name)), None)


def _body(model: PreTrainedModel) -> torch.nn.Module:
    body: torch.nn.Module = model.base_model
    return body
