"""The node kind `train`: models, sources and a loss go in, a checkpoint that anyone can load comes out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import torch

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context
from ptc.runtime.crew import crew
from ptc.runtime.holding import held
from ptc.runtime.kept import Keeper
from ptc.runtime.loading import load_models, save_model
from ptc.runtime.losses.outside import refuse_uncallable
from ptc.runtime.placement import Placement
from ptc.runtime.reporting import reported
from ptc.runtime.showing import Shown
from ptc.runtime.stage import Stage
from ptc.runtime.trainer import Trainer
from ptc.runtime.training import Training


def train(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Fills a Hugging Face checkpoint folder with the model that the stage is for; its tokenizer stays as it was.

    What else was trained or tracked is a checkpoint in a subfolder of its name, for `result` nodes.
    """
    torch.set_num_threads(context.profile.threads)
    refuse_uncallable(node.settings["terms"])
    training = Training.of(node.settings)
    result = node.settings["result"]
    with crew(node, inputs, context) as ranks, reported(context) as context, ExitStack() as opened:
        folders = {name: inputs[name].path for name in node.settings["models"]}
        models = load_models(folders, training.trained, training.frozen)
        placement = Placement.of(context.profile)
        holding = held(ranks, placement)
        stage = Stage(node, inputs, context, training, models, opened, ranks, holding)
        flows = {source: Shown(stage.flow(source), source, stage.tokenizer, context.log) for source in training.sources}
        ranks.told({source: flow.size for source, flow in flows.items()})

        def save(name: str, folder: Path) -> None:
            holding.ask("save", name)
            save_model(models[name], inputs[name].path, folder)

        keeper = Keeper(context.kept, context.partial, save)
        observers = list(keeper.observers([watching.measure for watching in stage.watches()]))
        trainer = Trainer(training, models, flows, context, placement, observers, ranks, holding, node.guards)
        keeper.refuse_beyond(trainer.steps, node.watches)
        trainer.run()
        save(result, out)
        for name in (*training.trained, *training.tracked):
            if name != result:
                (out / name).mkdir()
                save(name, out / name)
        ranks.told(None)  # it is done: the others may end
