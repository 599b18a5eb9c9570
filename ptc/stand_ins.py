"""Stand-ins for the hub: a folder that says what datasets and models of the hub look like, without the hub.

``datasets/ORG/NAME[.CONFIG].SPLIT.jsonl`` (or ``datasets/ORG/NAME.jsonl`` for every split) has some rows, and
``models/ORG/NAME/`` what describes a model without its weights. Whatever the folder does not hold is looked for on the
hub, as without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ptc.checkpoints import checkpoint
from ptc.compiler.catalogue import Checkpoint, Rows
from ptc.headers import rows


@dataclass(frozen=True)
class StandIns:
    """A folder of small things that stand for those on the hub (`--stand-ins`)."""

    folder: Path

    def dataset(self, name: str, config: str | None = None, split: str | None = None) -> Path | None:
        """The file with rows of a dataset; without a split, of any of its splits."""
        place = self.folder / "datasets" / name
        known = [f"{place.name}.{config}.{split}.jsonl", f"{place.name}.{split}.jsonl", f"{place.name}.jsonl"]
        found = [place.with_name(file) for file in (known[0:1] if config else []) + known[1:]]
        if split is None:
            pattern = f"{place.name}.{config}.*.jsonl" if config else f"{place.name}.*.jsonl"
            found += sorted(place.parent.glob(pattern))
        return next((path for path in found if path.is_file()), None)

    def model(self, name: str) -> Path | None:
        """The folder of a model, whatever its revision."""
        path = self.folder / "models" / name.partition("@")[0]
        return path if path.is_dir() else None

    def rows(self, name: str) -> Rows | None:
        """The columns of ``org/set:config@revision``."""
        repository, _, config = name.partition("@")[0].partition(":")
        path = self.dataset(repository, config or None)
        return rows(str(path)) if path is not None else None

    def checkpoint(self, name: str) -> Checkpoint | None:
        """The header of ``org/model@revision``."""
        path = self.model(name)
        return checkpoint(str(path)) if path is not None else None
