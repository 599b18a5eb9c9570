"""Model artifacts, in memory and back: language models, heads that give numbers, and adapters over any of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from ptc.runtime.adapters import AdapterOff, adapter_tensors, is_base_of, load_adapter, merged, write_adapter
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.model_folders import ADAPTER, TAKEN, copy_files, read_json, share_base
from ptc.runtime.tensors import state_of, whole

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

WRITTEN_ANEW = frozenset({"config.json", "generation_config.json", "model.safetensors.index.json", "manifest.json"})
"""Files of the entry checkpoint that are not taken over when weights are saved."""
LANGUAGE, REWARD, VALUE = "ForCausalLM", "ForSequenceClassification", "ForTokenClassification"
"""What the last part of an architecture's name says: tokens, a number per text, a number per token."""
KINDS = {LANGUAGE: "AutoModelForCausalLM", REWARD: "AutoModelForSequenceClassification"}
KINDS[VALUE] = "AutoModelForTokenClassification"


def load_model(folder: Path) -> PreTrainedModel | PeftModel:
    """The model of an artifact. Of an adapted one the adapter learns and the base stands still."""
    base = load_base(folder)
    return load_adapter(base, folder / ADAPTER) if is_adapted(folder) else base


def load_whole(folder: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The model of an artifact as plain weights: an adapter is merged into them, in float32."""
    if not is_adapted(folder):
        return load_base(folder, dtype)
    whole: torch.nn.Module = merged(load_adapter(load_base(folder), folder / ADAPTER))
    return cast("PreTrainedModel", whole.to(dtype))


def load_base(folder: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The model of an artifact without its adapter."""
    import transformers

    kind = getattr(transformers, KINDS[head_of(folder)])
    return cast("PreTrainedModel", kind.from_pretrained(folder, dtype=dtype))


def is_adapted(folder: Path) -> bool:
    """Whether the model of an artifact has an adapter that is still apart."""
    return (folder / ADAPTER).is_dir()


def head_of(folder: Path) -> str:
    """What a checkpoint ends in: `LANGUAGE`, `REWARD` or `VALUE`."""
    architectures = read_json(folder / "config.json").get("architectures") or [""]
    for head in KINDS:
        if str(architectures[0]).endswith(head):
            return head
    raise InputWrong(
        f"{folder}/config.json names no architecture that ptc knows ({architectures[0] or 'none'}): name a model of "
        f"…{', …'.join(KINDS)}"
    )


def load_models(
    folders: Mapping[str, Path], trained: Collection[str], standing: Collection[str]
) -> dict[str, PreTrainedModel]:
    """The models of a stage by name. One that stands still and is the base of a trained adapter is that model with
    the adapter off, and two that stand still and are one are one: one copy in memory. What is adapted, or has its
    adapter off, answers as its base does."""
    models: dict[str, torch.nn.Module] = {name: load_model(folders[name]) for name in trained}
    still: dict[Path, torch.nn.Module] = {}
    for name, folder in folders.items():
        if name in standing:
            if folder not in still:
                learner = next((other for other in trained if is_base_of(folder, folders[other])), None)
                still[folder] = (
                    load_model(folder) if learner is None else AdapterOff(cast("PeftModel", models[learner]))
                )
            models[name] = still[folder]
        elif name not in models:
            models[name] = load_model(folder)
    return cast("dict[str, PreTrainedModel]", models)


def save_model(model: torch.nn.Module, entry: Path, out: Path) -> None:
    """A model artifact: weights and configuration, with the tokenizer files of the artifact that the model began as.

    Of an adapted model the base's files are those of the entry, which nothing has changed.
    """
    if is_adapted(entry):
        share_base(entry, out)
        write_adapter(cast("PeftModel", model), out / ADAPTER)
        return
    save_plain(cast("PreTrainedModel", model), entry, out)


def saved_tensors(model: torch.nn.Module) -> Mapping[str, torch.Tensor]:
    """The weights that `save_model` writes; where they lie in parts, every process has to ask for them at once."""
    return adapter_tensors(model) if hasattr(model, "peft_config") else plain_tensors(model)


def plain_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state of a model, what it has under two names once; on the CPU."""
    state, made = state_of(model), dict[int, torch.Tensor]()
    for tensor in state.values():
        if id(tensor) not in made:
            made[id(tensor)] = whole(tensor).detach().cpu()
    return {name: made[id(tensor)] for name, tensor in state.items()}


def save_plain(model: PreTrainedModel, entry: Path, out: Path) -> None:
    """A model without an adapter, with the tokenizer files of the artifact that it began as."""
    model.save_pretrained(out, state_dict=plain_tensors(model))
    copy_files([path for path in sorted(entry.iterdir()) if _belongs_to_tokenizer(path)], out)


def _belongs_to_tokenizer(path: Path) -> bool:
    own = path.suffix == ".safetensors" or path.name in WRITTEN_ANEW
    return not own and any(path.match(pattern) for pattern in TAKEN)
