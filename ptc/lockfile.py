"""`ptc.lock`, beside a program: what the hub held under each name when the program was locked.

With it a check needs no network and no cache, and two machines mean the same commit. It is a JSON document that is read
and written whole, and meant to be committed with the program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptc.compiler.catalogue import Checkpoint, Rows
from ptc.compiler.shapes import Shape

NAME = "ptc.lock"
SCHEMA = 1


@dataclass(frozen=True)
class Lock:
    """Headers by name, as a program writes it: ``org/model@revision``, ``org/set:config@revision``."""

    models: Mapping[str, Checkpoint] = field(default_factory=dict)
    datasets: Mapping[str, Rows] = field(default_factory=dict)
    problem: str | None = None
    """What keeps it from being read."""


UNLOCKED = Lock()


def beside(program: str | Path) -> Path:
    """Where the lock of a program is."""
    return Path(program).parent / NAME


def read(path: Path) -> Lock:
    """The lock in a file; an empty one where there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return UNLOCKED
    except (OSError, ValueError):
        return Lock(problem=f"{path} cannot be read")
    try:
        if document["schema"] != SCHEMA:
            return Lock(problem=f"{path} is of schema {document['schema']}, and this version knows {SCHEMA}")
        models = {name: _model(entry) for name, entry in document["models"].items()}
        datasets = {name: _dataset(entry) for name, entry in document["datasets"].items()}
    except (KeyError, TypeError, AttributeError):
        return Lock(problem=f"{path} holds no lock")
    return Lock(models, datasets)


def write(path: Path, lock: Lock) -> None:
    """Replaces the file in one step."""
    document = {
        "schema": SCHEMA,
        "models": {name: _of_model(lock.models[name]) for name in sorted(lock.models)},
        "datasets": {name: _of_dataset(lock.datasets[name]) for name in sorted(lock.datasets)},
    }
    beside_it = path.with_name(f".{path.name}.new")
    beside_it.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    beside_it.replace(path)


# Entries --------------------------------------------------------------------------------------------------------------

PLAIN = ("context", "parameters", "tokenizer", "template", "architecture", "vocabulary", "dropout")
"""What an entry of a model says as the header does."""


def _of_model(header: Checkpoint) -> dict[str, Any]:
    ends = header.end_of_sequence
    return {
        "commit": header.revision,
        **{name: getattr(header, name) for name in PLAIN},
        "end_of_sequence": list(ends) if ends is not None else None,
        "shape": vars(header.shape) if header.shape is not None else None,
    }


def _model(entry: Mapping[str, Any]) -> Checkpoint:
    ends, shape = entry["end_of_sequence"], entry["shape"]
    return Checkpoint(
        **{name: entry[name] for name in PLAIN},
        end_of_sequence=tuple(ends) if ends is not None else None,
        shape=Shape(**shape) if shape is not None else None,
        revision=entry["commit"],
    )


def _of_dataset(header: Rows) -> dict[str, Any]:
    return {"commit": header.revision, "columns": list(header.columns), "types": dict(header.types)}


def _dataset(entry: Mapping[str, Any]) -> Rows:
    return Rows(tuple(entry["columns"]), types=tuple(entry["types"].items()), revision=entry["commit"])
