"""Distributions that samples bring along: a number for each token and each word of the vocabulary.

In JSON, which takes samples into checkpoints and to other processes, a number as text has 20 bytes, and as an object of
Python's 32. Here it has its own four, in base64 five and a third, and comes back bit for bit.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence

import numpy as np
import torch

Distributions = Mapping[str, str | int]
"""`float32`: the numbers of one token behind those of another, little-endian, in base64; `width`: how many each has."""
Kept = Sequence[float] | Distributions


def written(values: torch.Tensor) -> Kept:
    """Numbers (n,), or distributions (n, V)."""
    if values.dim() == 1:
        numbers: list[float] = values.tolist()
        return numbers
    content = values.to("cpu", torch.float32).contiguous().numpy().astype("<f4", copy=False).tobytes()
    return {"float32": b64encode(content).decode("ascii"), "width": values.shape[1]}


def read(values: Kept) -> torch.Tensor:
    """What `written` was given."""
    if not isinstance(values, Mapping):
        return torch.tensor(values, dtype=torch.float32)
    numbers = np.frombuffer(b64decode(str(values["float32"])), dtype="<f4")
    width = int(values["width"])
    return torch.from_numpy(numbers.reshape(len(numbers) // width, width).astype(np.float32))
