"""How sequences of unequal length lie in the rows that a model reads: one in each, or several behind one another.

transformers tells several in one row apart by positions that begin anew: each token then attends to its own sequence
alone. Legend: I tokens of all sequences, R rows, W the width of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ptc.runtime.artifacts import InputWrong

ROW = 2048
"""Tokens of a row in which several sequences lie, if none of them is longer: attention costs its square."""
_PROBE = (5, 3, 4)
_TOLERANCE = 1e-3
"""As a share of the largest hidden state, in the dtype of the least precision."""


@dataclass(frozen=True)
class Layout:
    """Where each token lies."""

    row: torch.Tensor
    """(I,)"""
    column: torch.Tensor
    """(I,)"""
    positions: torch.Tensor | None
    """(R, W) the place of each token in its sequence; None where each row begins with its only one."""
    shape: tuple[int, int]
    """R and W."""

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids (I,) as rows (R, W), 0 where there is none."""
        laid = ids.new_zeros(self.shape)
        laid[self.row, self.column] = ids
        return laid


def one_in_each(lengths: torch.Tensor) -> Layout:
    """Padded on the right. Attention is causal, so no token that counts sees padding, and no mask is needed."""
    owner, place = _owners(lengths), _places(lengths)
    return Layout(owner, place, None, (len(lengths), int(lengths.max())))


def packed(lengths: torch.Tensor, width: int = ROW) -> Layout:
    """As many sequences in a row as fit, in their order."""
    width = max(width, int(lengths.max()))
    rows, starts = _filled(lengths.tolist(), width)
    owner, place = _owners(lengths), _places(lengths)
    row = torch.tensor(rows, device=lengths.device)[owner]
    column = torch.tensor(starts, device=lengths.device)[owner] + place
    shape = (rows[-1] + 1, int(column.max()) + 1)
    positions = place.new_zeros(shape)
    positions[row, column] = place
    return Layout(row, column, positions, shape)


def hidden_states(body: torch.nn.Module, ids: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Hidden states (I, H) at all tokens (I,) of the sequences, by a model's body."""
    told = {} if layout.positions is None else {"position_ids": layout.positions}
    states: torch.Tensor = body(input_ids=layout.rows(ids), use_cache=False, **told).last_hidden_state
    return states[layout.row, layout.column]


def refuse_unpackable(body: torch.nn.Module, device: torch.device) -> None:
    """Raises `InputWrong` for a model whose attention does not keep sequences in one row apart."""
    lengths = torch.tensor(_PROBE, device=device)
    ids = torch.arange(sum(_PROBE), device=device) % 4
    with torch.no_grad():
        apart = hidden_states(body, ids, one_in_each(lengths)).float()
        together = hidden_states(body, ids, packed(lengths)).float()
    tolerance = _TOLERANCE if next(body.parameters()).dtype == torch.float32 else 30 * _TOLERANCE
    if not float((together - apart).abs().max()) <= tolerance * float(apart.abs().max()):
        raise InputWrong(
            f"packing: the attention of {type(body).__name__} does not keep sequences in one row apart: "
            "leave `packing` out of the profile"
        )


def _filled(lengths: Sequence[int], width: int) -> tuple[list[int], list[int]]:
    """The row of each sequence, and where in it the sequence begins."""
    rows, starts, row, used = list[int](), list[int](), 0, 0
    for length in lengths:
        if used + length > width:
            row, used = row + 1, 0
        rows.append(row)
        starts.append(used)
        used += length
    return rows, starts


def _owners(lengths: torch.Tensor) -> torch.Tensor:
    return torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)


def _places(lengths: torch.Tensor) -> torch.Tensor:
    """(I,) the place of each token in its sequence."""
    ends = lengths.cumsum(0)
    total = int(ends[-1])
    return torch.arange(total, device=lengths.device) - (ends - lengths).repeat_interleave(lengths)
