"""The node kind `merge`: one model from several, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, InputWrong, Progress
from ptc.runtime.engines.open import load_tokenizer
from ptc.runtime.loading import is_adapted
from ptc.runtime.merging import merge_tensor
from ptc.runtime.model_folders import INDEX, MANIFEST, copy_files, read_json
from ptc.runtime.weight_files import Weights, names, opened, write

BASE = "base"


def merge(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Weights by the formula of the method, in float64, written in the first model's types; what else there is of a
    model is the first one's. Raises `InputWrong` for models that cannot be averaged."""
    roles = sorted((role for role in inputs if role != BASE), key=int) + [role for role in inputs if role == BASE]
    folders = {role: inputs[role].path for role in roles}
    _refuse_strangers(folders)
    with ExitStack() as files:
        weights = {role: files.enter_context(opened(folder)) for role, folder in folders.items()}
        _refuse_shapes(list(weights.values()))
        first = weights[roles[0]]
        copy_files([path for path in sorted(folders[roles[0]].iterdir()) if _is_no_weight(path)], out)
        write(out, first.layouts, _merged(node.settings, weights, first, context))


def _merged(
    settings: Mapping[str, Json], weights: Mapping[str, Weights], first: Weights, context: Context
) -> Iterator[torch.Tensor]:
    merged = [role for role in weights if role != BASE]
    for number, name in enumerate(first.layouts, start=1):
        own = first.read(name)
        if own.is_floating_point():
            tensors = [weights[role].read(name).double() for role in merged]
            base = weights[BASE].read(name).double() if BASE in weights else None
            own = merge_tensor(settings, name, tensors, base).to(own.dtype)
        yield own
        context.heartbeat(Progress(number, len(first.layouts), "tensors", {}))


def _refuse_strangers(folders: Mapping[str, Path]) -> None:
    """What can be seen without weights: adapters that are apart, other architectures, other vocabularies."""
    if any(is_adapted(folder) for folder in folders.values()):
        raise InputWrong("merge: a model has its adapter apart: merge_adapter(…) first, then merge")
    architectures = [_architecture(folder) for folder in folders.values()]
    for architecture in architectures[1:]:
        if architecture != architectures[0]:
            raise InputWrong(
                f"merge: a {architectures[0]} and a {architecture} have no weights in common: merge siblings"
            )
    first, *others = (_vocabulary(folder) for folder in folders.values())
    if any(other != first for other in others):
        raise InputWrong(
            "merge: the models' tokenizers differ, so that their embeddings are not of the same tokens: merge siblings"
        )


def _refuse_shapes(weights: Sequence[Weights]) -> None:
    odd = sorted(names(weights))
    if odd:
        raise InputWrong(
            f"merge: the models differ in shape ({', '.join(odd[:3])}{', …' if len(odd) > 3 else ''}): merge siblings"
        )


def _architecture(folder: Path) -> str:
    return ", ".join(read_json(folder / "config.json").get("architectures") or ["model of no architecture"])


def _vocabulary(folder: Path) -> dict[str, int]:
    known: dict[str, int] = load_tokenizer(folder).get_vocab()
    return known


def _is_no_weight(path: Path) -> bool:
    return path.is_file() and path.suffix != ".safetensors" and path.name not in (INDEX, MANIFEST)
