"""Runs one node by itself: inputs are folders, pieces lie beside them, and nothing is sealed or keyed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, Progress
from ptc.runtime.nodes import implementation
from ptc.runtime.profile import Profile
from ptc.runtime.tables import read_rows, write_rows


@dataclass
class Pieces:
    """A `Partial` without durability."""

    root: Path
    written: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir()) if self.root.exists() else []

    def read(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, fill: Callable[[Path], None]) -> None:
        (self.root / name).mkdir(parents=True)
        fill(self.root / name)
        self.written.append(name)

    def forget(self, name: str) -> None:
        raise NotImplementedError


class World:
    """Artifacts in a temporary folder."""

    def __init__(self, root: Path, profile: Profile | None = None) -> None:
        self.root = root
        self.profile = profile or Profile(device="cpu", threads=1)
        self.heartbeats: list[Progress] = []
        self.logged: list[Mapping[str, Json]] = []
        self._count = 0

    def rows(self, **columns: list[Any]) -> Artifact:
        folder = self._folder()
        write_rows(pa.table(columns), folder)
        return Artifact(folder.name, folder, {})

    def run(self, kind: str, settings: Mapping[str, Json] | None = None, **inputs: Artifact) -> Artifact:
        return self.resume(Pieces(self.root / f"pieces{self._count}"), kind, settings, **inputs)

    def resume(
        self, pieces: Pieces, kind: str, settings: Mapping[str, Json] | None = None, **inputs: Artifact
    ) -> Artifact:
        folder = self._folder()
        node = Node(kind, 1, settings or {}, {name: artifact.digest for name, artifact in inputs.items()})
        context = Context(node, pieces, self.profile, self.heartbeats.append, self.logged.append)
        implementation(kind)(node, inputs, folder, context)
        return Artifact(folder.name, folder, {})

    def records(
        self, kind: str, settings: Mapping[str, Json] | None = None, **inputs: Artifact
    ) -> list[dict[str, Any]]:
        """The rows that a node yields."""
        table: list[dict[str, Any]] = read_rows(self.run(kind, settings, **inputs)).to_pylist()
        return table

    def _folder(self) -> Path:
        self._count += 1
        folder = self.root / f"artifact{self._count}"
        folder.mkdir()
        return folder


def counts(artifact: Artifact) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = pq.read_table(artifact.path / "counts.parquet").to_pylist()
    return table


def summary(artifact: Artifact) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((artifact.path / "summary.json").read_text())
    return document
