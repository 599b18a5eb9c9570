"""How far a model has moved from another: the divergence of their distributions of the next token, in nats."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from ptc.runtime import costs
from ptc.runtime.artifacts import Context, InputWrong, Progress
from ptc.runtime.rendering.rows import Rendering
from ptc.runtime.rendering.tables import rendered_rows
from ptc.runtime.rendering.turns import Rendered
from ptc.runtime.samples import by_prompt
from ptc.runtime.statistics import Reals

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

READ = ("response", "chosen", "text")
"""The column on which two models are compared: the first of these that the rows have."""


def divergences(rows: pa.Table, model: Path, reference: Path, context: Context) -> Reals:
    """KL(model ‖ reference) over the whole vocabulary, averaged over the tokens of each prompt's responses; [prompts].

    It is the exact divergence at every token of contexts that the rows give: those that the model writes itself, where
    its stage samples from it, and those of the data, where it imitates.
    """
    from ptc.runtime.engines.open import load_tokenizer

    name = next((name for name in READ if name in rows.column_names), "response")
    rendered = rendered_rows(rows, [name], load_tokenizer(model), Rendering())
    ours, theirs = (_loaded(folder, context) for folder in (model, reference))
    if ours.config.vocab_size != theirs.config.vocab_size:
        raise InputWrong(
            f"kl: the two models have {ours.config.vocab_size} and {theirs.config.vocab_size} tokens: measure it "
            "between models of one tokenizer"
        )
    found: dict[int, list[float]] = defaultdict(list)
    groups = by_prompt(rows)
    for number, group in enumerate(groups):
        for row in group:
            for part in rendered[row].parts:
                found[number] += _of_text(part[name], ours, theirs)
        context.heartbeat(Progress(number + 1, len(groups), "prompts", {}))
    if not any(found.values()):
        raise InputWrong(
            f"kl: no row has a `.{name}` on which two models could be compared: take rows with shorter ones"
        )
    return np.array([float(np.mean(values)) for values in found.values() if values], dtype=np.float64)


def _loaded(folder: Path, context: Context) -> PreTrainedModel:
    from ptc.runtime.loading import load_whole

    model: torch.nn.Module = load_whole(folder)
    return cast("PreTrainedModel", model.to(context.profile.device).eval())


def _of_text(text: Rendered, ours: PreTrainedModel, theirs: PreTrainedModel) -> list[float]:
    """The divergence at each token that bears loss."""
    import torch

    from ptc.runtime.arithmetic import arithmetic_of

    for model in (ours, theirs):
        costs.read(arithmetic_of(model), [len(text.tokens) - 1])
    tokens = torch.tensor([text.tokens[:-1]], device=ours.device)
    where = torch.tensor(text.loss_mask[1:], device=ours.device)
    with torch.inference_mode():
        first, second = (
            model(input_ids=tokens, use_cache=False).logits[0, where].float().log_softmax(-1)
            for model in (ours, theirs)
        )
        values: list[float] = (first.exp() * (first - second)).sum(-1).tolist()
    return values
