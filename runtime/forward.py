"""One forward pass of a causal language model over packed sequences, with its head only where loss is borne."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ptc.runtime.batches import Sequences

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def token_logits(model: torch.nn.Module, head: torch.nn.Module, columns: Sequence[Sequences]) -> list[torch.Tensor]:
    """Logits (N, V), for each column, of the distribution from which each of its tokens was to be predicted.

    All columns run in one pass. `head` is the model's output embedding; what the model does to logits behind it
    (scaling, soft-capping) still happens.
    """
    lengths = torch.cat([sequences.input_lengths for sequences in columns])
    position = torch.arange(int(lengths.max()) if len(lengths) else 0, device=lengths.device)
    present = position < lengths.unsqueeze(1)
    inputs = torch.zeros_like(present, dtype=torch.long)
    inputs[present] = torch.cat([sequences.inputs for sequences in columns])
    predicts = torch.zeros_like(present)
    predicts[present] = torch.cat([sequences.predicts for sequences in columns])
    where = predicts.flatten().nonzero().squeeze(1)
    counts = [len(sequences.tokens) for sequences in columns]
    assert len(where) == sum(counts), "a token that bears loss has no token before it: its prompt is empty"
    if not len(where):
        return [torch.zeros(0, 1, device=lengths.device) for _ in columns]
    return list(torch.split(_logits_at(model, head, inputs, where), counts))


def output_head(model: PreTrainedModel) -> torch.nn.Module:
    """The module that turns hidden states into logits."""
    head: torch.nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return head


def _logits_at(
    model: torch.nn.Module, head: torch.nn.Module, inputs: torch.Tensor, where: torch.Tensor
) -> torch.Tensor:
    """Logits (N, V) at flat positions of the padded inputs (rows, columns).

    Sequences are padded on the right and attention is causal, so no token that counts sees padding, and no mask is
    passed: that keeps attention's fast path.
    """

    def narrow(module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        return (args[0].flatten(0, 1).index_select(0, where),)

    hook = head.register_forward_pre_hook(narrow)
    try:
        logits: torch.Tensor = model(input_ids=inputs, use_cache=False).logits
    finally:
        hook.remove()
    return logits
