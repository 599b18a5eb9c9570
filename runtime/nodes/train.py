"""The node kind `train`: models, sources and a loss go in, a checkpoint that anyone can load comes out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context
from ptc.runtime.engines.open import dtype_of, load_tokenizer, open_copy, open_engine
from ptc.runtime.engines.protocol import Engine
from ptc.runtime.flows import FixedFlow, LiveFlow
from ptc.runtime.model_folders import TAKEN, copy_files
from ptc.runtime.tables import read_rows
from ptc.runtime.trainer import Placement, Trainer, Training

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WRITTEN_ANEW = frozenset({"config.json", "generation_config.json", "model.safetensors.index.json"})
"""Files of the entry checkpoint that are not taken over: saving the model writes them."""


def train(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Fills a Hugging Face checkpoint folder with the model that the stage is for; its tokenizer stays as it was."""
    torch.set_num_threads(context.profile.threads)
    training = Training.of(node.settings)
    models = {name: load_model(inputs[name].path) for name in (*training.trained, *training.frozen)}
    result = node.settings["result"]
    tokenizer = load_tokenizer(inputs[result].path)
    with ExitStack() as opened:
        flows: dict[str, FixedFlow | LiveFlow] = {}
        for source in training.losses:
            flows[source] = _flow(source, node, training, inputs, models, tokenizer, context)
            opened.callback(flows[source].close)
        Trainer(training, models, flows, context, Placement.of(context.profile)).run()
    save_model(models[result], inputs[result].path, out)


def load_model(folder: Path) -> PreTrainedModel:
    """The causal language model of a checkpoint folder, in float32."""
    from transformers import AutoModelForCausalLM

    return cast("PreTrainedModel", AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32))


def save_model(model: PreTrainedModel, entry: Path, out: Path) -> None:
    """A checkpoint folder: the model's weights and configuration, with the tokenizer files of the one it began as."""
    model.save_pretrained(out)
    copy_files([path for path in sorted(entry.iterdir()) if _belongs_to_tokenizer(path)], out)


def _belongs_to_tokenizer(path: Path) -> bool:
    own = path.suffix == ".safetensors" or path.name in WRITTEN_ANEW or path.name == "manifest.json"
    return not own and any(path.match(pattern) for pattern in TAKEN)


def _flow(
    source: str,
    node: Node,
    training: Training,
    inputs: Mapping[str, Artifact],
    models: Mapping[str, PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    context: Context,
) -> FixedFlow | LiveFlow:
    rows, loss = read_rows(inputs[source]), training.losses[source]
    steps = node.settings["flows"][source]
    if not steps:
        unit = node.settings["batch"][source]["unit"]
        return FixedFlow(rows, unit, loss, tokenizer, node.settings["max_length"])
    author = next(step["model"] for step in steps if step["op"] == "sample")
    engine = _engine(context, inputs[author].path, models[author])
    hand_over = partial(_hand_over, engine, models[author])
    return LiveFlow(rows, steps, loss, tokenizer, engine, hand_over, training.seed)


def _engine(context: Context, folder: Path, module: PreTrainedModel) -> Engine:
    if context.profile.engine == "transformers" and context.profile.engine_copy:
        return open_copy(folder, dtype_of(context.profile))
    return open_engine(context.profile, folder, module=module)


def _hand_over(engine: Engine, model: PreTrainedModel, version: int) -> None:
    """Brings the engine the weights behind `version` updates, unless it has them."""
    if engine.version != version:
        engine.load_weights(model.state_dict().items(), version)
