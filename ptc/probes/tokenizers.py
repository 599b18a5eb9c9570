"""The tokenizer and the headers of each model: from its folder, the hub's cache, stand-ins, or made of rows.

Nothing that a model brings is run: no code of its own, no weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ptc.compiler import core
from ptc.headers import hub_folder
from ptc.probes.drawing import Drawer
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.model_folders import refuse_code
from ptc.runtime.nodes.tokenizers import write_bpe, write_characters
from ptc.runtime.row_steps import PLACE
from ptc.stand_ins import StandIns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Headers:
    """What is known of a model without its weights."""

    tokenizer: PreTrainedTokenizerBase
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def context(self) -> int | None:
        """Tokens that fit into the model."""
        found = self.config.get("max_position_embeddings")
        return found if isinstance(found, int) else None

    @property
    def dropout(self) -> Mapping[str, float]:
        """The settings of `config.json` that switch units off while training."""
        return {
            name: float(value)
            for name, value in self.config.items()
            if ("dropout" in name or name.endswith("pdrop")) and isinstance(value, int | float) and value > 0
        }


@dataclass
class Tokenizers:
    """Loads each tokenizer once."""

    drawer: Drawer
    folder: Path
    """Where tokenizers that a program makes are put."""
    stand_ins: StandIns | None = None
    refused: list[RefusedModel] = field(default_factory=list)
    _known: dict[int, Headers | None] = field(default_factory=dict)
    _kept: list[object] = field(default_factory=list)

    def of(self, model: core.Model) -> Headers | None:
        """The headers of a model, those of what it descends from where it has none of its own; None if unknown."""
        if id(model) not in self._known:
            self._kept.append(model)
            self._known[id(model)] = self._found(model)
        return self._known[id(model)]

    def _found(self, model: core.Model) -> Headers | None:
        match model.kind:
            case "new_model":
                made = self._made(cast(core.Tokenizer, model.inputs["tokenizer"]))
                return Headers(made, {"max_position_embeddings": model.type.context}) if made is not None else None
            case "local_model":
                return self._loaded(model, Path(model.settings["path"]))
            case "hub_model":
                name, revision = model.settings["name"], model.settings.get("revision")
                stands = self.stand_ins.model(name) if self.stand_ins is not None else None
                folder = stands or hub_folder(f"{name}@{revision}" if revision else name, fetch=False)
                return self._loaded(model, Path(folder)) if folder is not None else None
            case "retemplate":
                return self._retemplated(model)
            case _:
                return self._parent(model)

    def _parent(self, model: core.Model) -> Headers | None:
        parent = next((value for value in model.inputs.values() if isinstance(value, core.Model)), None)
        return self.of(parent) if parent is not None else None

    def _retemplated(self, model: core.Model) -> Headers | None:
        headers = self._parent(model)
        if headers is None:
            return None
        from copy import deepcopy

        tokenizer = deepcopy(headers.tokenizer)
        tokenizer.chat_template = model.settings["template"]
        end = model.settings.get("end")
        if end is not None and end not in tokenizer.get_vocab():
            self.refused.append(RefusedModel(model, f"its vocabulary has no `{end}`, which ends each turn"))
            return None
        if end is not None:
            tokenizer.eos_token = end
        return replace(headers, tokenizer=tokenizer)

    def _made(self, tokenizer: core.Tokenizer) -> PreTrainedTokenizerBase | None:
        """The tokenizer of a model that is yet to be made."""
        source = tokenizer.inputs.get("model")
        if isinstance(source, core.Model):
            headers = self.of(source)
            return headers.tokenizer if headers is not None else None
        rows = tokenizer.inputs.get("rows")
        drawn = self.drawer.rows(rows) if isinstance(rows, core.Source) else None
        if drawn is None:
            return None
        place = self.folder / f"tokenizer{len(self._known)}"
        place.mkdir()
        table = drawn.table.drop_columns([PLACE])
        if tokenizer.kind == "characters":
            write_characters(table, place)
        else:
            write_bpe(table, int(tokenizer.settings["vocabulary"]), place)
        return load(place)

    def _loaded(self, model: core.Model, folder: Path) -> Headers | None:
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):  # said already, where the folder is named
            return None
        try:
            refuse_code(folder)
        except InputWrong as problem:
            self.refused.append(RefusedModel(model, str(problem)))
            return None
        try:
            return Headers(load(folder), config if isinstance(config, dict) else {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as problem:
            lines = str(problem).strip().splitlines() or [type(problem).__name__]
            self.refused.append(RefusedModel(model, f"its tokenizer cannot be loaded: {lines[0]:.200}"))
            return None


@dataclass(frozen=True)
class RefusedModel:
    """A model whose files cannot be used as they are."""

    model: core.Model
    said: str


def load(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder. Code that the folder brings is never run: a tokenizer that needs it is refused."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    return cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(folder, trust_remote_code=False))
