"""The node kind `train`: models, sources and a loss go in, a checkpoint that anyone can load comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ptc.compiler.graph import Json, Node
from ptc.runtime.adapters import handed_over
from ptc.runtime.artifacts import Artifact, Context, InputWrong
from ptc.runtime.canary import Canary
from ptc.runtime.choosing import with_spread
from ptc.runtime.crew import crew
from ptc.runtime.engines.open import dtype_of, load_tokenizer, open_engine
from ptc.runtime.engines.protocol import Engine
from ptc.runtime.flows import REWARDED, FixedFlow, LiveFlow
from ptc.runtime.judging import Weights
from ptc.runtime.kept import Keeper
from ptc.runtime.loading import load_models, save_model
from ptc.runtime.model_folders import context_length
from ptc.runtime.nodes.opened import OpenedModels, for_judges
from ptc.runtime.placement import Placement
from ptc.runtime.profile import Profile
from ptc.runtime.rendering.rows import Counts, Rendering
from ptc.runtime.reporting import reported
from ptc.runtime.tables import read_rows
from ptc.runtime.trainer import Trainer
from ptc.runtime.training import Training, joined_to
from ptc.runtime.watches import Watching

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def train(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Fills a Hugging Face checkpoint folder with the model that the stage is for; its tokenizer stays as it was.

    What else was trained or tracked is a checkpoint in a subfolder of its name, for `result` nodes.
    """
    torch.set_num_threads(context.profile.threads)
    training = Training.of(node.settings)
    result = node.settings["result"]
    with crew(node, inputs, context) as ranks, reported(context) as context, ExitStack() as opened:
        folders = {name: inputs[name].path for name in node.settings["models"]}
        models = load_models(folders, training.trained, training.frozen)
        stage = _Stage(node, inputs, context, training, models, opened)
        flows = {source: stage.flow(source) for source in training.sources}
        ranks.told({source: flow.size for source, flow in flows.items()})

        def save(name: str, folder: Path) -> None:
            save_model(models[name], inputs[name].path, folder)

        keeper = Keeper(context.kept, context.partial, save)
        observers = list(keeper.observers([watching.measure for watching in stage.watches()]))
        trainer = Trainer(training, models, flows, context, Placement.of(context.profile), observers, ranks)
        keeper.refuse_beyond(trainer.steps, node.watches)
        trainer.run()
    save_model(models[result], inputs[result].path, out)
    for name in (*training.trained, *training.tracked):
        if name != result:
            (out / name).mkdir()
            save_model(models[name], inputs[name].path, out / name)


def rendering_of(settings: Mapping[str, Json]) -> Rendering:
    """How a stage's rows become tokens."""
    return Rendering(settings["max_length"], settings.get("truncate", "error"), settings.get("mask", "assistant"))


def counted(counts: Counts) -> dict[str, Json]:
    """How many rows did not stay whole, for the run's record."""
    cut = {f"cut/{column}": count for column, count in counts.cut.items()}
    return {"rows": counts.rows, "dropped": counts.dropped, "split": counts.split, **cut}


def holds_copy(profile: Profile) -> bool:
    """Whether an engine of this profile has weights of its own, which a hand-over may fail to bring up to date."""
    return profile.engine == "vllm" or (profile.engine == "transformers" and profile.engine_copy)


def _state(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Its weights for an engine, made when they are asked for: one that samples from the model itself never asks."""
    yield from handed_over(model).items()


class _Stage:
    """The sources, engines and watches of one stage; what they open is closed by `opened`."""

    def __init__(
        self,
        node: Node,
        inputs: Mapping[str, Artifact],
        context: Context,
        training: Training,
        models: Mapping[str, PreTrainedModel],
        opened: ExitStack,
    ) -> None:
        self._node = node
        self._inputs = inputs
        self._context = context
        self._training = training
        self._models = models
        self._opened = opened
        self._result: str = node.settings["result"]
        self._tokenizer = load_tokenizer(inputs[self._result].path)
        self._beside = opened.enter_context(OpenedModels(inputs, for_judges(context.profile)))
        self._engines: dict[str, Engine] = {}
        self._canaries: dict[str, Canary] = {}

    def flow(self, source: str) -> FixedFlow | LiveFlow:
        rows, needs = read_rows(self._inputs[source]), self._training.loss_of(source).needs(source)
        steps = self._node.settings["flows"][source]
        drop = self._node.settings.get("on_zero_std") == "drop"
        if all(joined_to(step) in self._training.follows.values() for step in steps):  # drawn at another's prompts
            unit = self._node.settings["batch"][source]["unit"]
            if drop and set(rows.column_names) >= REWARDED:
                rows = with_spread(rows)
                if not rows.num_rows:
                    raise InputWrong('on_zero_std = "drop": in no group do the rewards differ; nothing is left')
            fixed = FixedFlow(rows, unit, needs, self._tokenizer, rendering_of(self._node.settings))
            if not fixed.counts.whole:
                self._context.log({"event": "rows", "source": source, **counted(fixed.counts)})
            return fixed
        author = next(step["model"] for step in steps if step["op"] == "sample")
        engine = partial(self._engine, author)
        live = LiveFlow(rows, steps, needs, self._tokenizer, engine, self._training.seed, self._judge, drop)
        self._opened.callback(live.close)
        return live

    def watches(self) -> list[Watching]:
        watches = []
        for watch in self._node.watches:
            rows = read_rows(self._context.watched[watch.prompts])
            needed = {name: self._context.watched[meaning] for name, meaning in watch.models.items()}
            judges = self._opened.enter_context(OpenedModels(needed, for_judges(self._context.profile)))
            watches.append(Watching(watch, rows, self._weights(self._result), judges))
            self._opened.callback(watches[-1].close)
        return watches

    def _judge(self, step: Mapping[str, Json], name: str) -> Weights:
        """A model that judges in a step of a flow: one of the stage, as it is then, or one that stands still."""
        model: str = step[name]
        return self._weights(model) if model in self._models else self._beside(model)

    def _weights(self, model: str) -> Weights:
        folder = self._inputs[model].path
        tokenizer, context = load_tokenizer(folder), context_length(folder)
        return Weights(model, tokenizer, context, partial(self._engine, model), lambda: self._models[model])

    def _engine(self, model: str, version: int) -> Engine:
        """The engine of a model, with the weights behind `version` updates; raises `InvariantBroken` otherwise."""
        version = 0 if model in self._training.frozen else version
        if model not in self._engines:
            self._open(model, version)
        engine = self._engines[model]
        if engine.version != version and model in self._canaries:
            self._canaries[model].hand_over(version)
        elif engine.version != version:
            engine.load_weights(_state(self._models[model]), version)
        return engine

    def _open(self, model: str, version: int) -> None:
        changes = model not in self._training.frozen
        profile = self._context.profile if changes else for_judges(self._context.profile)
        module = self._models[model]
        engine = open_engine(profile, self._inputs[model].path, module=module, version=version)
        self._engines[model] = engine
        self._opened.callback(engine.close)
        if changes and holds_copy(profile):
            self._canaries[model] = Canary(engine, module, dtype_of(profile), self._context.log)
            self._canaries[model].calibrate(version)
