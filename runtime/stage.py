"""One stage at work: its sources, the engines of its models, and the evals that look on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import torch

from ptc.compiler.graph import Json, Node
from ptc.runtime.adapters import handed_over
from ptc.runtime.artifacts import Artifact, Context, InputWrong
from ptc.runtime.canary import Canary
from ptc.runtime.choosing import with_spread
from ptc.runtime.engines.open import dtype_of, load_tokenizer, open_engine
from ptc.runtime.engines.protocol import Engine
from ptc.runtime.engines.sharing import GatheredEngine, SharedEngine, can_share
from ptc.runtime.flows import REWARDED, FixedFlow, LiveFlow
from ptc.runtime.holding import Whole
from ptc.runtime.judging import Weights
from ptc.runtime.losses.needs import Needs
from ptc.runtime.model_folders import context_length
from ptc.runtime.nodes.opened import OpenedModels, for_judges
from ptc.runtime.profile import Profile
from ptc.runtime.ranks import ALONE, Ranks
from ptc.runtime.rendering.meeting import Reader
from ptc.runtime.rendering.rows import Counts, Rendering
from ptc.runtime.rewards import Rewards
from ptc.runtime.rollouts import sample_rows, sampling_of
from ptc.runtime.samples import refuse_unreadable
from ptc.runtime.streams.building import Building, Step, standing
from ptc.runtime.streams.drawing import Stream
from ptc.runtime.tables import read_rows
from ptc.runtime.training import Training, joined_to
from ptc.runtime.watches import Watching

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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


class Stage:
    """The sources, engines and watches of one stage; what they open is closed by `opened`."""

    def __init__(
        self,
        node: Node,
        inputs: Mapping[str, Artifact],
        context: Context,
        training: Training,
        models: Mapping[str, PreTrainedModel],
        opened: ExitStack,
        ranks: Ranks = ALONE,
        holding: Whole | None = None,
    ) -> None:
        self._node = node
        self._held = holding or Whole(ranks)
        self._ranks = ranks
        self._inputs = inputs
        self._context = context
        self._training = training
        self._models = models
        self._opened = opened
        self._result: str = node.settings["result"]
        self.tokenizer = load_tokenizer(inputs[self._result].path)
        self._rendering = rendering_of(node.settings)
        self._beside = opened.enter_context(OpenedModels(inputs, for_judges(context.profile)))
        self._engines: dict[str, Engine] = {}
        self._canaries: dict[str, Canary] = {}
        self._streams: dict[str, Stream] = {}
        self._building = Building(
            node.settings["flows"], self._rows, self._identity, self._sampler, self._rewards, training.seed
        )

    # Sources ----------------------------------------------------------------------------------------------------------

    def flow(self, source: str) -> FixedFlow | LiveFlow:
        steps = self._node.settings["flows"][source]
        drawn_by_another = all(joined_to(step) in self._training.follows.values() for step in steps)
        return self._fixed(source) if drawn_by_another else self._live(source, steps)

    def _fixed(self, source: str) -> FixedFlow:
        rows, needs = self._rows(source), self._training.loss_of(source).needs(source)
        unit = self._node.settings["batch"][source]["unit"]
        if self._drop and set(rows.column_names) >= REWARDED:
            rows = with_spread(rows)
            if not rows.num_rows:
                raise InputWrong(
                    'on_zero_std = "drop": in no group do the rewards differ; nothing is left: sample more attempts, '
                    "or other prompts"
                )
        fixed = FixedFlow(rows, unit, needs, self.tokenizer, self._rendering, self._readers(needs))
        if not fixed.counts.whole:
            self._context.log({"event": "rows", "source": source, **counted(fixed.counts)})
        return fixed

    def _live(self, source: str, steps: list[Step]) -> LiveFlow:
        needs, stream = self._training.loss_of(source).needs(source), self._building.flow(source)
        for rows in standing(stream):
            refuse_unreadable(rows, needs, self.tokenizer, self._rendering)
        follows = self._alike(source, stream, joined=steps[0]["op"] == "join")
        self._streams[source] = stream
        readers = self._readers(needs)
        return LiveFlow(
            stream, needs, self.tokenizer, self._rendering, readers, follows=follows, with_spread_only=self._drop
        )

    def _readers(self, needs: Needs) -> dict[str, Reader]:
        """The models that read in tokens of their own; one that is tracked has those of the one that it follows."""
        folders = {
            model: self._inputs[model if model in self._inputs else self._training.tracked[model].follows].path
            for _, model in needs.translated
        }
        return {model: Reader(load_tokenizer(folder), context_length(folder)) for model, folder in folders.items()}

    @property
    def _drop(self) -> bool:
        return bool(self._node.settings.get("on_zero_std") == "drop")

    def _alike(self, source: str, stream: Stream, joined: bool) -> str | None:
        """The source that learns from the same sampling, if any does; what is joined follows its partner's batch."""
        batch = self._training.batch
        alike = (
            other
            for other, known in self._streams.items()
            if known.origin is stream.origin and (joined or batch[other] == batch[source])
        )
        return next(alike, None)

    def _rows(self, name: str) -> pa.Table:
        return read_rows(self._inputs[name])

    def _identity(self, name: str) -> str:
        return self._inputs[name].digest

    def _sampler(self, step: Step) -> Callable[[pa.Table, int], pa.Table]:
        sampling, attempts, seed = sampling_of(step), int(step["n"]), self._training.seed

        def sample(rows: pa.Table, version: int) -> pa.Table:
            engine = self._engine(step["model"], version)
            if self._ranks.count > 1 and can_share(self._context.profile):
                engine = SharedEngine(engine, step["model"], self._ranks, partial(self._held.gather, step["model"]))
            return sample_rows(engine, self.tokenizer, rows, sampling, attempts, seed, version)

        return sample

    def _rewards(self, step: Step) -> Rewards:
        return self._opened.enter_context(Rewards(step, judges=partial(self._judge, step)))

    def _judge(self, step: Step, name: str) -> Weights:
        """A model that judges in a step of a flow: one of the stage, as it is then, or one that stands still."""
        model: str = step[name]
        return self._weights(model) if model in self._models else self._beside(model)

    # What looks on ----------------------------------------------------------------------------------------------------

    def watches(self) -> list[Watching]:
        watches = []
        for watch in self._node.watches:
            rows = read_rows(self._context.watched[watch.prompts])
            needed = {name: self._context.watched[meaning] for name, meaning in watch.models.items()}
            judges = self._opened.enter_context(OpenedModels(needed, for_judges(self._context.profile)))
            watches.append(Watching(watch, rows, self._weights(self._result), judges))
            self._opened.callback(watches[-1].close)
        return watches

    # Engines ----------------------------------------------------------------------------------------------------------

    def _weights(self, model: str) -> Weights:
        folder = self._inputs[model].path
        tokenizer, context = load_tokenizer(folder), context_length(folder)
        return Weights(model, tokenizer, context, partial(self._engine, model), partial(self._module, model))

    def _module(self, model: str) -> PreTrainedModel:
        self._held.gather(model)
        return self._models[model]

    def _engine(self, model: str, version: int) -> Engine:
        """The engine of a model, with the weights behind `version` updates; raises `InvariantBroken` otherwise."""
        version = 0 if model in self._training.frozen else version
        engine = self._engines.get(model)
        if engine is None or engine.version != version:
            self._held.gather(model)
        if engine is None:
            engine = self._open(model, version)
        if engine.version != version and model in self._canaries:
            self._canaries[model].hand_over(version)
        elif engine.version != version:
            engine.load_weights(_state(self._models[model]), version)
        return engine

    def _open(self, model: str, version: int) -> Engine:
        changes = model not in self._training.frozen
        profile = self._context.profile if changes else for_judges(self._context.profile)
        module = self._models[model]
        engine = open_engine(profile, self._inputs[model].path, module=module, version=version)
        if self._held.in_parts and can_share(profile):
            engine = GatheredEngine(engine, partial(self._held.gather, model))
        self._engines[model] = engine
        self._opened.callback(engine.close)
        if changes and holds_copy(profile):
            self._canaries[model] = Canary(engine, module, dtype_of(profile), self._context.log)
            self._canaries[model].calibrate(version)
        return engine


def _state(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Its weights for an engine, made when they are asked for: one that samples from the model itself never asks."""
    yield from handed_over(model).items()
