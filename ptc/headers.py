"""Headers of what a program names by path: the columns of a data file, the shape of a model folder.

Looked at when the checker asks, each once; no row and no weight is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from ptc.compiler.catalogue import Checkpoint, Rows

Header = TypeVar("Header")
LONGEST_LINE = 4 * 2**20


class OnDemand(Mapping[str, Header], Generic[Header]):
    """A mapping from paths to headers that reads a header when it is first asked for."""

    def __init__(self, read: Callable[[Path], Header | None]) -> None:
        self._read = read
        self._known: dict[str, Header | None] = {}

    def __getitem__(self, path: str) -> Header:
        if path not in self._known:
            self._known[path] = self._read(Path(path))
        found = self._known[path]
        if found is None:
            raise KeyError(path)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def rows(path: Path) -> Rows | None:
    """The columns of a JSON Lines or Parquet file; None where there is none, or nothing here can read it."""
    if not os.path.exists(path):  # unlike Path.exists, False for a name that no file can have
        return None
    if not path.is_file():
        return Rows((), problem="it is not a file")
    if path.suffix == ".parquet":
        return _parquet(path)
    try:
        with path.open("rb") as file:
            line = file.readline(LONGEST_LINE)
    except OSError as error:
        return Rows((), problem=(error.strerror or "it cannot be opened").lower())
    return _first_row(line)


def _first_row(line: bytes) -> Rows:
    if not line.strip():
        return Rows((), problem="its first line is empty")
    try:
        row = json.loads(line)
    except ValueError:
        return Rows((), problem="its first line is not JSON")
    if not isinstance(row, dict):
        return Rows((), problem="its first line is not a JSON object")
    return Rows(tuple(str(name) for name in row))


def _parquet(path: Path) -> Rows | None:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:  # the language half works without it: the columns are then unknown
        return None
    try:
        return Rows(tuple(parquet.read_schema(path).names))
    except (OSError, ArrowException) as error:
        return Rows((), problem=str(error).splitlines()[0].lower())


def checkpoint(path: Path) -> Checkpoint | None:
    """What `config.json` and the tokenizer files of a model folder say; None where there is no such folder."""
    if not os.path.exists(path):  # unlike Path.exists, False for a name that no file can have
        return None
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Checkpoint(None, None, None, problem="it holds no config.json")
    except (OSError, ValueError):
        return Checkpoint(None, None, None, problem="its config.json cannot be read")
    context = config.get("max_position_embeddings") if isinstance(config, dict) else None
    return Checkpoint(context if isinstance(context, int) else None, None, _tokenizer(path))


def _tokenizer(path: Path) -> str | None:
    """Digest of vocabulary and template: what makes two models speak one language."""
    parts: list[Any] = []
    for name in ("tokenizer.json", "chat_template.jinja"):
        file = path / name
        parts.append(hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest() if any(parts) else None
