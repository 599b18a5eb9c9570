"""Low-rank adapters (Hu et al., 2021, arXiv 2106.09685) through PEFT: made, written, merged, and switched off.

The artifact of an adapted model holds the files of its base and, in `adapter/`, those of the adapter in PEFT's format.
"""

from __future__ import annotations

import filecmp
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import load_file, save_file

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.model_folders import ADAPTER as FOLDER
from ptc.runtime.model_folders import ADAPTER_CONFIG as CONFIG
from ptc.runtime.model_folders import ADAPTER_WEIGHTS as WEIGHTS
from ptc.runtime.model_folders import read_json
from ptc.runtime.tensors import state_of, whole

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel

NAME = "default"
"""What PEFT calls an adapter that nobody named."""
ALL_LINEAR = "all-linear"
HEADS = ("score", "classifier")
"""What transformers calls the heads that give numbers instead of tokens: trained whole beside an adapter."""


class AdapterOff(torch.nn.Module):
    """An adapted model without its adapter: its base, in the same memory. It has no parameters of its own."""

    def __init__(self, adapted: PeftModel) -> None:
        super().__init__()
        self._adapted = (adapted,)  # in a tuple, so that torch does not take it for a part

    @property
    def adapted(self) -> PeftModel:
        return self._adapted[0]

    @property
    def config(self) -> Any:
        return self._adapted[0].config

    @property
    def device(self) -> torch.device:
        device: torch.device = self._adapted[0].device
        return device

    def get_output_embeddings(self) -> torch.nn.Module | None:
        head: torch.nn.Module | None = self._adapted[0].get_output_embeddings()
        return head

    @contextmanager
    def base(self) -> Iterator[PreTrainedModel]:
        """The base, for as long as the block lasts: without the adapter, and without what the learner drops."""
        (adapted,) = self._adapted
        training = adapted.training
        adapted.train(False)
        adapted.base_model.disable_adapter_layers()
        try:
            yield adapted.get_base_model()
        finally:
            adapted.base_model.enable_adapter_layers()
            adapted.train(training)

    def forward(self, *args: Any, **arguments: Any) -> Any:
        with self.base() as base:
            return base(*args, **arguments)

    def says_what(self, learner: torch.nn.Module) -> bool:
        """Whether the adapter is this learner's, and changes nothing yet."""
        (adapted,) = self._adapted
        return adapted is learner and _is_fresh(adapted)

    def weights(self) -> dict[str, torch.Tensor]:
        """The base's weights under its own names."""
        return dict(_base_weights(self._adapted[0], merged=False))


@contextmanager
def answering(model: torch.nn.Module) -> Iterator[PreTrainedModel]:
    """The plain model by which a learner or a reference answers: for as long as the block lasts, the adapter in it is
    on for the one and off for the other."""
    if isinstance(model, AdapterOff):
        with model.base() as base:
            yield base
    else:
        yield model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator, misc]


def adapt(base: PreTrainedModel, config: LoraConfig) -> PeftModel:
    """The model with a fresh adapter, which changes nothing yet. Draws from torch's generator."""
    from peft import get_peft_model

    return get_peft_model(base, config, autocast_adapter_dtype=False)


def lora_config(
    base: PreTrainedModel, *, rank: int, alpha: float, dropout: float, targets: str | Sequence[str]
) -> LoraConfig:
    """PEFT's settings for a model. Raises `InputWrong` for targets that the model does not have."""
    from peft import LoraConfig

    modules = _linear_modules(base)
    wanted = [targets] if isinstance(targets, str) else list(targets)
    kinds = sorted({name.rpartition(".")[2] for name in modules})
    if wanted == [ALL_LINEAR]:
        wanted = kinds
    for target in wanted:
        if not any(f".{name}".endswith(f".{target}") for name in modules):
            raise InputWrong(f"lora: the model has no linear layer `{target}` to adapt; it has {', '.join(kinds)}")
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=wanted,
        modules_to_save=_heads(base),
        task_type=_task(base),
    )


def load_adapter(base: PreTrainedModel, folder: Path) -> PeftModel:
    """The model with the adapter of an artifact's subfolder; the adapter learns, the base does not."""
    from peft import PeftModel

    with torch.random.fork_rng():  # PEFT draws an adapter before it reads one
        return PeftModel.from_pretrained(base, str(folder), is_trainable=True, autocast_adapter_dtype=False)


def readapt(other: PreTrainedModel, folder: Path) -> PeftModel:
    """Another model over the same body with the factors of an adapter, scaled and placed as that one is. Draws from
    torch's generator."""
    from peft import PeftConfig, get_peft_model_state_dict, set_peft_model_state_dict

    config = cast("LoraConfig", PeftConfig.from_pretrained(str(folder)))
    config.inference_mode, config.task_type, config.modules_to_save = False, _task(other), _heads(other)
    adapted = adapt(other, config)
    factors = {name: tensor for name, tensor in load_file(folder / WEIGHTS).items() if ".lora_" in name}
    set_peft_model_state_dict(adapted, get_peft_model_state_dict(adapted) | factors)
    return adapted


def adapter_tensors(model: PeftModel) -> dict[str, torch.Tensor]:
    """The adapter's weights under PEFT's names."""
    from peft import get_peft_model_state_dict

    return {name: whole(one).detach().cpu().contiguous() for name, one in get_peft_model_state_dict(model).items()}


def write_adapter(model: PeftModel, folder: Path) -> None:
    """PEFT's two files. Equal weights give equal bytes, which PEFT's own writer does not promise."""
    folder.mkdir(exist_ok=True)
    save_file(adapter_tensors(model), folder / WEIGHTS, metadata={"format": "pt"})
    write_config(model.peft_config[NAME].to_dict(), folder)


def write_config(config: Mapping[str, Any], folder: Path, base: str | None = None, revision: str | None = None) -> None:
    """PEFT's settings of an adapter, naming the base where it has a name by which anyone can load it."""
    document = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    document |= {"base_model_name_or_path": base, "revision": revision, "inference_mode": True}
    (folder / CONFIG).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def merged(model: PeftModel) -> PreTrainedModel:
    """The base with the adapter in its weights. The adapted model is used up."""
    whole: PreTrainedModel = model.merge_and_unload()
    return whole


def handed_over(model: torch.nn.Module) -> Mapping[str, torch.Tensor]:
    """A model's state as an engine takes it: under the names of a plain checkpoint, an adapter within the weights."""
    from peft import PeftModel

    if isinstance(model, AdapterOff):
        return model.weights()
    return dict(_base_weights(model, merged=True)) if isinstance(model, PeftModel) else state_of(model)


def is_base_of(folder: Path, adapted: Path) -> bool:
    """Whether a model artifact is the one beneath the adapter of another: weights file by file, under any template."""
    if not (adapted / FOLDER).is_dir() or (folder / FOLDER).is_dir():
        return False
    names, own = ({path.name for path in each.glob("*.safetensors")} for each in (adapted, folder))
    return (
        names == own
        and _shape(folder) == _shape(adapted)
        and all(_is_one(folder / name, adapted / name) for name in sorted(names))
    )


def _shape(folder: Path) -> dict[str, Json]:
    """A configuration without what a template changes."""
    return {name: value for name, value in read_json(folder / "config.json").items() if name != "eos_token_id"}


def _is_one(path: Path, other: Path) -> bool:
    return path.samefile(other) or filecmp.cmp(path, other, shallow=False)


def _is_fresh(model: PeftModel) -> bool:
    """One of the two factors is 0 everywhere, and heads that are trained whole are as they were."""
    from peft.utils import ModulesToSaveWrapper

    heads = [module for module in model.modules() if isinstance(module, ModulesToSaveWrapper)]
    pairs = [(state_of(head.original_module), state_of(head.modules_to_save[NAME])) for head in heads]
    return all(not whole(factor).any() for name, factor in model.named_parameters() if "lora_B" in name) and all(
        torch.equal(whole(tensor), whole(new[name])) for old, new in pairs for name, tensor in old.items()
    )


def _base_weights(model: PeftModel, merged: bool) -> Iterator[tuple[str, torch.Tensor]]:
    """The base's weights one by one, with what the adapter adds to them or without. Nothing is changed in place."""
    from peft.tuners.lora import LoraLayer

    base = model.get_base_model()
    layers = {name: module for name, module in base.named_modules() if isinstance(module, LoraLayer)}
    adapted = tuple(f"{name}." for name in layers)
    with torch.no_grad():
        for name, tensor in state_of(base).items():
            owner, inside, kind = name.partition(".base_layer.")
            if inside:
                delta = layers[owner].get_delta_weight(NAME) if merged and kind == "weight" else None
                yield f"{owner}.{kind}", tensor if delta is None else tensor + delta
            elif not name.startswith(adapted):
                yield name, tensor


def _linear_modules(base: PreTrainedModel) -> list[str]:
    """The linear layers of a model's body: neither its embeddings nor its head."""
    heads = {id(base.get_output_embeddings()), *(id(getattr(base, name, None)) for name in HEADS)}  # type: ignore[no-untyped-call]
    return [
        name for name, module in base.named_modules() if isinstance(module, torch.nn.Linear) and id(module) not in heads
    ]


def _heads(base: PreTrainedModel) -> list[str] | None:
    return [name for name in HEADS if hasattr(base, name)] or None


def _task(base: PreTrainedModel) -> str | None:
    architecture = type(base).__name__
    tasks = {"ForCausalLM": "CAUSAL_LM", "ForSequenceClassification": "SEQ_CLS", "ForTokenClassification": "TOKEN_CLS"}
    return next((task for suffix, task in tasks.items() if architecture.endswith(suffix)), None)
