"""The models that a node asks: opened on their folders when they are first needed, closed with the node."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ptc.runtime.artifacts import Artifact
from ptc.runtime.judging import Weights
from ptc.runtime.model_folders import context_length
from ptc.runtime.profile import Profile

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from ptc.runtime.engines.protocol import Engine

MEASURED = ("model", "against")
"""The models that are measured: by the engine that the profile asks for."""


class OpenedModels:
    """`Judges` of the models among what goes into a node.

    One vLLM can be open in a process at a time: with it, what is measured is opened in turns, and judges run on
    transformers.
    """

    def __init__(self, inputs: Mapping[str, Artifact], profile: Profile) -> None:
        self._inputs = inputs
        self._profile = profile
        self._known: dict[str, Weights] = {}
        self._engines: dict[str, Engine] = {}

    def __call__(self, name: str) -> Weights:
        from ptc.runtime.engines.open import load_tokenizer

        name = self._first(name)
        if name not in self._known:
            folder = self._inputs[name].path
            engine = partial(self._engine, name)
            module = cache(partial(load_reward_model, folder, self._profile))
            context = context_length(folder)
            self._known[name] = Weights(name, load_tokenizer(folder), context, lambda step: engine(), module)
        return self._known[name]

    def _first(self, name: str) -> str:
        """The first name of what judges under several: it is opened once."""
        folder = self._inputs[name].path
        names = (other for other, each in self._inputs.items() if each.path == folder and other not in MEASURED)
        return name if name in MEASURED else next(names)

    def _engine(self, name: str) -> Engine:
        from ptc.runtime.engines.open import open_engine

        if name not in self._engines:
            profile = self._profile if name in MEASURED else for_judges(self._profile)
            if profile.engine == "vllm":
                self._close(MEASURED)
            self._engines[name] = open_engine(profile, self._inputs[name].path)
        return self._engines[name]

    def _close(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name in self._engines:
                self._engines.pop(name).close()

    def __enter__(self) -> OpenedModels:
        return self

    def __exit__(self, *_: object) -> None:
        self._close(tuple(self._engines))


def for_judges(profile: Profile) -> Profile:
    """The profile under which a model judges."""
    return profile.model_copy(update={"engine": "transformers"}) if profile.engine == "vllm" else profile


def load_reward_model(folder: Path, profile: Profile) -> PreTrainedModel:
    """A model that ends in one number per text, ready to score."""
    from ptc.runtime.engines.open import dtype_of
    from ptc.runtime.loading import load_whole

    model: torch.nn.Module = load_whole(folder, dtype_of(profile))
    return cast("PreTrainedModel", model.to(profile.device))
