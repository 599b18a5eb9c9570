"""A training process beside the first one: `python -m ptc.runtime.crew_member FOLDER RANK PARENT`.

It runs the stage of the folder's job on models of its own, with samples that the first process tells it, and yields
nothing but its share of each gradient.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Context, Progress
from ptc.runtime.batches import Draw
from ptc.runtime.crew import READY, REFUSALS, Job, error_file, joined
from ptc.runtime.profile import Profile
from ptc.runtime.ranks import Ranks
from ptc.runtime.stateless import Stateless

PR_SET_PDEATHSIG = 1
"""Of `prctl` (2): the signal that a process gets when the one that started it is gone."""


@dataclass(frozen=True)
class Elsewhere(Stateless):
    """A source that the first process draws from."""

    size: int

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        raise AssertionError("only the first process draws")

    def at(self, step: int, drawn: Draw) -> Draw:
        raise AssertionError("only the first process draws")


class Nothing:
    """Pieces of a node that another process keeps."""

    def names(self) -> list[str]:
        return []

    def read(self, name: str) -> Path:
        raise KeyError(name)

    def write(self, name: str, fill: Callable[[Path], None]) -> None:
        raise AssertionError("only the first process saves")

    def forget(self, name: str) -> None:
        raise AssertionError("only the first process saves")


def main(folder: Path, rank: int, parent: int) -> None:
    die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    job = Job(**json.loads((folder / "job.json").read_text()))
    try:
        _work(job, folder, rank)
    except tuple(REFUSALS.values()) as refusal:
        error_file(folder, rank).write_text(json.dumps({"kind": type(refusal).__name__, "message": str(refusal)}))
        sys.exit(1)


def die_with(parent: int) -> None:
    """Ends this process when the one that started it ends, however that happens."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before it could be watched
        _leave()


def _leave() -> NoReturn:
    os._exit(1)


def _work(job: Job, folder: Path, rank: int) -> None:
    import torch

    from ptc.runtime.costs import metered
    from ptc.runtime.engines.open import open_engine
    from ptc.runtime.engines.protocol import Engine
    from ptc.runtime.engines.sharing import Helper
    from ptc.runtime.loading import load_models
    from ptc.runtime.placement import Placement
    from ptc.runtime.trainer import Trainer
    from ptc.runtime.training import Training

    profile = Profile.model_validate(job.profile, strict=False)
    torch.set_num_threads(profile.threads)
    training = Training.of(job.settings)
    node = Node(job.kind, job.semantics, job.settings, {}, names=job.names)
    context = Context(node, Nothing(), profile, _ignored, _unlogged)
    folders = {name: Path(path) for name, path in job.models.items()}
    os.write(sys.stdout.fileno(), READY)
    with joined(folder, rank, profile), metered():
        models = load_models(folders, training.trained, training.frozen)

        @cache
        def opened(model: str) -> Engine:
            return open_engine(profile, folders[model], module=models[model])

        def engine(model: str, version: int) -> Engine:
            opened(model).load_weights((), version)  # the module has them
            return opened(model)

        sampling = Helper(engine)

        def help_out(asked: Mapping[str, Json], ranks: Ranks) -> None:
            if "deed" in asked:
                trainer.help(asked["deed"], asked["about"])
            else:
                sampling(asked, ranks)

        ranks = Ranks(rank, profile.devices, help_out)
        flows = {source: Elsewhere(size) for source, size in ranks.told(None).items()}
        trainer = Trainer(training, models, flows, context, Placement.of(profile), ranks=ranks)
        trainer.run()
        ranks.told(None)  # until everything is saved


def _ignored(progress: Progress) -> None:
    """The first process says how far it is."""


def _unlogged(row: Mapping[str, Json]) -> None:
    """The first process keeps the record."""


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
