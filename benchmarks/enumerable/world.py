"""Models, rows and stages of the small world: real checkpoints, real programs, the real node `train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from enumerable.policies import Policy, Response, states
from ptc import api
from ptc.compiler.elaborate import DEFAULT_SEED
from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context
from ptc.runtime.nodes import implementation
from ptc.runtime.nodes.tokenizers import write_characters
from ptc.runtime.profile import Profile
from ptc.runtime.rollouts import render_prompts
from ptc.runtime.tables import write_rows

PROMPTS = ("x", "y")
LETTERS = "abc"
PROFILE = Profile(device="cpu", devices=1, threads=1, checkpoint_every=100_000)
SHAPE = {
    **{"family": "qwen3", "hidden": 32, "layers": 1, "heads": 2, "kv_heads": 2, "head_dim": 16, "intermediate": 64},
    **{"context": 64, "tied": False, "rope_theta": 10_000.0},
}
PROGRAM = """edition 2026
from std.objectives import {objectives}
from std.verifiers import exact, overlong
source rows  = jsonl("rows.jsonl")
source more  = jsonl("more.jsonl")
source asked = rows |> prompts(.prompt, answer = .answer, {columns})
model base  = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(asked))
model other = new.model("qwen3", hidden = 32, layers = 2, tokenizer = characters(asked))
model rule  = reward_head(other)
model third = new.model("qwen3", hidden = 32, layers = 3, tokenizer = characters(asked))
model foreign = new.model("qwen3", hidden = 32, layers = 2, tokenizer = bpe(asked, vocabulary = 300))
stage learner {{
  {roles}
  {sources}
  minimize {loss}
  optimizer = adamw(lr = {lr}, betas = [0.9, {beta2}], schedule = "linear", clip_norm = 0)
  batch = {batch}
  budget = {steps} steps
  {settings}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of the program above."""

    roles: Sequence[str]
    loss: str
    sources: Sequence[str] = ()
    columns: str = ""
    """Of the prompts, beside the answer."""
    batch: str = "1_000 samples"
    steps: int = 250
    lr: float = 0.02
    beta2: float = 0.98
    settings: str = ""

    @property
    def text(self) -> str:
        called = [part.split("(")[0].split("*")[-1].strip() for part in self.loss.split(" + ")]
        lines = {"roles": "\n  ".join(self.roles), "sources": "\n  ".join(self.sources)}
        return PROGRAM.format(**{**vars(self), **lines, "objectives": ", ".join(dict.fromkeys(called))})

    def node(self, seed: int) -> Node:
        """What the compiler makes of it, in a run of this seed."""
        result = api.check_text(self.text, settings={"seed": str(seed)})
        errors = [found for found in result.diagnostics if found.severity == "error"]
        assert not errors, [(found.title, [label.text for label in found.labels]) for found in errors]
        [node] = [node for node in api.compiled(result).nodes.values() if node.kind == "train"]
        return node


class Nothing:
    """Keeps no checkpoint."""

    def names(self) -> list[str]:
        return []

    def read(self, name: str) -> Path:
        raise KeyError(name)

    def write(self, name: str, fill: Callable[[Path], None]) -> None:
        pass

    def forget(self, name: str) -> None:
        pass


@dataclass
class World:
    """Everything of it lies in one folder."""

    folder: Path
    seed: int = 0
    """Moves every seed there is: of fresh models and heads, of batches, of attempts."""
    logged: list[Mapping[str, Any]] = field(default_factory=list)
    """What the latest stage said."""

    def __post_init__(self) -> None:
        self._count = 0
        self.tokenizer_folder = self._new()
        write_characters(pa.table({"text": ["".join(PROMPTS) + LETTERS]}), self.tokenizer_folder)
        self.tokenizer = AutoTokenizer.from_pretrained(self.tokenizer_folder)

    def ids(self, text: str) -> Response:
        """A response as tokens, its end included."""
        ids = tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return (*ids, self.tokenizer.eos_token_id)

    def text(self, response: Response) -> str:
        """What a verifier is shown of it."""
        return str(self.tokenizer.decode(response, skip_special_tokens=True))

    def tokenizer_of(self, tokenizer: Tokenizer, **settings: str) -> Path:
        """The folder of a tokenizer."""
        folder = self._new()
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **settings).save_pretrained(folder)
        return folder

    def model(
        self, seed: int, spread: float = 0.0, blind: bool = False, layers: int = 1, tokenizer: Path | None = None
    ) -> Path:
        """A fresh model; `spread` widens its next-token distributions. A blind one sees no token but the last.

        Blind: nothing leaves its attention, and no gradient enters it: the two matrices that a value passes are 0.
        """
        folder = self._new()
        own = self._moved(seed)
        node = Node("new_model", 1, {**SHAPE, "layers": layers, "seed": own}, {})
        self._run(node, {"tokenizer": artifact(tokenizer or self.tokenizer_folder)}, folder)
        if spread or blind:
            model = load(folder)
            generator = torch.Generator().manual_seed(own)
            with torch.no_grad():
                if spread:
                    model.get_output_embeddings().weight.normal_(std=spread, generator=generator)
                for name, parameter in model.named_parameters():
                    if blind and ("v_proj" in name or "o_proj" in name):
                        parameter.zero_()
            model.save_pretrained(folder)
        return folder

    def prompt(self, text: str) -> Response:
        """The tokens behind which a model answers."""
        [ids] = render_prompts(self.tokenizer, [text])
        return tuple(ids)

    def headed(self, kind: str, entry: Path) -> Path:
        """A model under a fresh head: `reward_head` or `value_head`."""
        return self.derived(kind, entry, {"seed": self._moved(3)})

    def derived(self, kind: str, entry: Path, settings: Mapping[str, Any]) -> Path:
        """What a node makes of a model."""
        folder = self._new()
        self._run(Node(kind, 1, settings, {}), {"init": artifact(entry)}, folder)
        return folder

    def cost(self, folder: Path, ids: Response) -> float:
        """Nats of a text by plain transformers, behind what begins it: without a BOS, the end of another."""
        model = load(folder).double()
        begun = (self.tokenizer.bos_token_id or self.tokenizer.eos_token_id, *ids)
        with torch.no_grad():
            log = torch.log_softmax(model(input_ids=torch.tensor([begun])).logits[0], -1)
        return -float(log[range(len(ids)), list(ids)].sum())

    def train(
        self, stage: Stage, models: Mapping[str, Path], rows: Sequence[Mapping[str, Any]], **sources: Any
    ) -> Path:
        """The checkpoint that a stage leaves. `models` by their roles; `sources`: other rows than the usual ones."""
        node = stage.node(self._moved(DEFAULT_SEED))
        inputs = {}
        for canonical in node.inputs:
            name = node.names.get(canonical, canonical)
            if canonical in node.settings["flows"]:
                inputs[canonical] = self.rows(sources.get(name, rows))
            else:
                inputs[canonical] = artifact(models[name])
        self.logged = []
        folder = self._new()
        self._run(node, inputs, folder)
        return folder

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> Artifact:
        folder = self._new()
        write_rows(pa.Table.from_pylist([dict(row) for row in rows]), folder)
        return artifact(folder)

    def policy(self, folder: Path, length: int, context: Mapping[str, str] | None = None) -> Policy:
        """What a checkpoint says in every state, by plain transformers, in float64."""
        model = load(folder).double()
        shown = [(context or {}).get(prompt, prompt) for prompt in PROMPTS]
        prompts = dict(zip(PROMPTS, render_prompts(self.tokenizer, shown), strict=True))
        visited = states(PROMPTS, len(self.tokenizer), self.tokenizer.eos_token_id, length)
        log = {}
        for size in range(length):
            here = [state for state in visited if len(state[1]) == size]
            for prompt in PROMPTS:
                said = [state for state in here if state[0] == prompt]
                with torch.no_grad():
                    ids = torch.tensor([[*prompts[prompt], *one] for _, one in said])
                    logits = model(input_ids=ids).logits[:, -1]
                log |= dict(zip(said, np.asarray(torch.log_softmax(logits, -1)), strict=True))
        return Policy(log, self.tokenizer.eos_token_id, length)

    def _run(self, node: Node, inputs: Mapping[str, Artifact], folder: Path) -> None:
        context = Context(node, Nothing(), PROFILE, lambda progress: None, self.logged.append)
        implementation(node.kind)(node, inputs, folder, context)

    def _moved(self, seed: int) -> int:
        return seed + 1000 * self.seed

    def _new(self) -> Path:
        self._count += 1
        folder = self.folder / f"{self._count:04d}"
        folder.mkdir(parents=True)
        return folder


def artifact(folder: Path) -> Artifact:
    return Artifact(folder.name, folder, {})


def load(folder: Path) -> PreTrainedModel:
    return cast("PreTrainedModel", AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32))


def quiet() -> None:
    """Models of some kilobytes need no progress bars."""
    disable_progress_bar()
