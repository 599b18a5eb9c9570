"""The weights of a checkpoint folder, one tensor at a time: read from its safetensors, and written into one file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from ptc.runtime.model_folders import WEIGHTS

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""Bytes of a number, by the names that the format gives types."""
ALIGNED = 8


@dataclass(frozen=True)
class Layout:
    """What a header says of a tensor."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return SIZES[self.dtype] * prod(self.shape)


@dataclass(frozen=True)
class Weights:
    """The tensors of one folder, in order of their names."""

    layouts: Mapping[str, Layout]
    read: Callable[[str], torch.Tensor]


@contextmanager
def opened(folder: Path) -> Iterator[Weights]:
    """All weight files of a checkpoint folder as one."""
    with ExitStack() as files:
        holders: dict[str, Any] = {}
        for path in sorted(folder.glob("*.safetensors")):
            file = files.enter_context(safe_open(path, framework="pt"))
            holders |= dict.fromkeys(file.keys(), file)
        slices = {name: holders[name].get_slice(name) for name in sorted(holders)}
        layouts = {name: Layout(each.get_dtype(), tuple(each.get_shape())) for name, each in slices.items()}
        yield Weights(layouts, lambda name: holders[name].get_tensor(name))


def write(folder: Path, layouts: Mapping[str, Layout], tensors: Iterator[torch.Tensor]) -> None:
    """Writes `model.safetensors`; of the tensors, which come in the order of the layouts, one is held at a time."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, layout in layouts.items():
        start, end = end, end + layout.bytes
        header[name] = {"dtype": layout.dtype, "shape": list(layout.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNED)
    with (folder / WEIGHTS).open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for layout, tensor in zip(layouts.values(), tensors, strict=True):
            assert tuple(tensor.shape) == layout.shape, "a tensor is written as it was announced"
            file.write(_bytes(tensor))


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def names(weights: Sequence[Weights]) -> set[str]:
    """The names of tensors that only some of the folders have, or that differ between them in shape."""
    first = weights[0].layouts
    odd: set[str] = set()
    for other in weights[1:]:
        odd |= first.keys() ^ other.layouts.keys()
        odd |= {name for name in first.keys() & other.layouts.keys() if first[name].shape != other.layouts[name].shape}
    return odd
