"""What an experiment is and how far it has come: ``experiments/<id>/experiment.json`` in the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ptc.compiler.graph import digest
from ptc.experiments.trials import Trial
from ptc.runtime.fsio import Disk
from ptc.runtime.store import Store

FOLDER = "experiments"
RECORD = "experiment.json"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecordedTrial(_Document):
    """One run of an experiment; `run` is None before it has started."""

    name: str
    shown: dict[str, str]
    settings: dict[str, str]
    seed: int
    program: str
    """The file in the experiment's folder that holds the text that ran."""
    note: str = ""
    run: str | None = None
    exit_code: int | None = None
    message: str = ""


class Record(_Document):
    """An experiment. The same command goes on with the same record."""

    schema_version: Literal[1] = 1
    kind: Literal["sweep", "ablate"]
    id: str
    program: str
    command: str
    started: str
    unmatched: str
    """The reason for which unlike runs are compared; empty where none is given."""
    trials: tuple[RecordedTrial, ...]

    @property
    def finished(self) -> bool:
        return all(trial.exit_code is not None for trial in self.trials)


def begun(
    kind: Literal["sweep", "ablate"], program: str, command: str, unmatched: str, trials: Sequence[Trial]
) -> Record:
    """The record of an experiment before its first run. Its name is made of what it is: the same again is the same."""
    what = [[trial.checked.source.text, dict(trial.settings)] for trial in trials]
    recorded = tuple(
        RecordedTrial(
            name=trial.name,
            shown=dict(trial.shown),
            settings=dict(trial.settings),
            seed=trial.seed,
            program=f"{number:02d}.pt",
            note=trial.note,
        )
        for number, trial in enumerate(trials, 1)
    )
    return Record(
        kind=kind,
        id=f"{Path(program).stem}-{kind}-{digest(what)[:8]}",
        program=program,
        command=command,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        unmatched=unmatched,
        trials=recorded,
    )


def folder_of(store: Store, record: Record) -> Path:
    folder = store.root / FOLDER / record.id
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(store: Store, record: Record) -> Path:
    """Writes the record, old or new and never in between; where it is."""
    path = folder_of(store, record) / RECORD
    _write(store.disk, path, record.model_dump_json(indent=2) + "\n")
    return path


def keep_programs(store: Store, record: Record, trials: Sequence[Trial]) -> None:
    """Writes down the text of every trial, as it runs."""
    folder = folder_of(store, record)
    for recorded, trial in zip(record.trials, trials, strict=True):
        _write(store.disk, folder / recorded.program, trial.checked.source.text)


def with_end(record: Record, number: int, run: str, exit_code: int, message: str) -> Record:
    """The record with how one of its runs ended."""
    trials = list(record.trials)
    trials[number] = trials[number].model_copy(update={"run": run, "exit_code": exit_code, "message": message})
    return record.model_copy(update={"trials": tuple(trials)})


def _write(disk: Disk, path: Path, text: str) -> None:
    disk.replace(path, text.encode(), path.with_name(f".{path.name}.new"))
