"""Headers of what a program names: the columns of a data file or set, the shape of a model.

Looked at when the checker asks, each once; no row and no weight is read. What lies on the hub is read from its cache,
and fetched only for `ptc check --data`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from ptc.checkpoints import SMALL_FILES, checkpoint
from ptc.compiler.catalogue import Checkpoint, Rows

Header = TypeVar("Header")
LONGEST_LINE = 4 * 2**20
TYPES = {
    **dict.fromkeys(("string", "large_string"), "Text"),
    **dict.fromkeys(("int", "uint", "float", "double", "halffloat"), "Real"),
    "bool": "Bool",
}
"""What the types of Arrow are called here, their widths left out."""


class OnDemand(Mapping[str, Header], Generic[Header]):
    """A mapping from names to headers that reads a header when it is first asked for."""

    def __init__(self, read: Callable[[str], Header | None]) -> None:
        self._read = read
        self._known: dict[str, Header | None] = {}

    def __getitem__(self, name: str) -> Header:
        if name not in self._known:
            self._known[name] = self._read(name)
        found = self._known[name]
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        """The names that have been asked for and found."""
        return (name for name, found in self._known.items() if found is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def absent(self) -> tuple[str, ...]:
        """The names that have been asked for and not found."""
        return tuple(name for name, found in self._known.items() if found is None)


def missing(headers: Mapping[str, Header]) -> tuple[str, ...]:
    """The names that a mapping has been asked for and has not found."""
    return headers.absent() if isinstance(headers, OnDemand) else ()


READ = "jsonl(…) reads one JSON object per line, parquet(…) a Parquet file"


def rows(name: str) -> Rows | None:
    """The columns of a JSON Lines or Parquet file; None where there is none, or nothing here can read it."""
    if not os.path.exists(name):  # unlike Path.exists, False for a name that no file can have
        return None
    path = Path(name)
    if not path.is_file():
        return Rows((), problem=f"it is no file: {READ}")
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
        return Rows((), problem=f"its first line is not JSON: {READ}")
    if not isinstance(row, dict):
        return Rows((), problem=f"its first line is not a JSON object: {READ}")
    return Rows(tuple(str(name) for name in row))


def _parquet(path: Path) -> Rows | None:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:  # the language half works without it: the columns are then unknown
        return None
    try:
        schema = parquet.read_schema(path)
    except (OSError, ArrowException) as error:
        return Rows((), problem=str(error).splitlines()[0].lower())
    kinds = ((field.name, TYPES.get(str(field.type).rstrip("0123456789"))) for field in schema)
    return Rows(tuple(schema.names), types=tuple((name, kind) for name, kind in kinds if kind is not None))


# The hub -------------------------------------------------------------------------------------------------------------


def hub_checkpoint(name: str, fetch: bool) -> Checkpoint | None:
    """The same of a model on the hub (``org/model`` or ``org/model@revision``); None where it is not to be had."""
    folder = hub_folder(name, fetch)
    return checkpoint(folder) if folder is not None else None


def hub_folder(name: str, fetch: bool) -> str | None:
    """The folder of the hub's cache with what describes a model; None where it is not to be had."""
    try:
        import huggingface_hub as hub
        from httpx2 import HTTPError
    except ImportError:  # the language half works without it: the model is then unknown
        return None
    repository, _, revision = name.partition("@")
    folder: str | None = None
    for file in SMALL_FILES:
        try:
            found = hub.hf_hub_download(repository, file, revision=revision or None, local_files_only=not fetch)
        except hub.errors.EntryNotFoundError:  # not every model has every file, and the cache not every file
            continue
        except (
            hub.errors.HFValidationError,
            OSError,
            HTTPError,
        ):  # no such model, network or permission: a run says which
            return None
        if file == SMALL_FILES[0]:
            folder = os.path.dirname(found)
    return folder


def hub_rows(name: str, fetch: bool) -> Rows | None:
    """The columns of a dataset on the hub (``org/set``, ``org/set:config``, either with ``@revision``)."""
    if not fetch:  # `datasets` takes seconds to import: only --data waits for it
        return None
    try:
        import datasets  # noqa: F401
    except ImportError:
        return None
    from ptc.runtime.hub import refusals

    try:
        features = _features(name)
    except refusals():  # no such set, network or permission: a run says which
        return None
    return Rows(tuple(features), types=tuple(_types(features))) if features else None


def _features(name: str) -> Mapping[str, Any]:
    """The features of a dataset: as its card has them, or those of its first rows where the card is silent."""
    from datasets import load_dataset, load_dataset_builder

    place, _, revision = name.partition("@")
    repository, _, config = place.partition(":")
    said = load_dataset_builder(repository, config or None, revision=revision or None).info.features
    if said:
        return dict(said)
    splits = load_dataset(repository, config or None, revision=revision or None, streaming=True)
    first = next(iter(splits.values()))._resolve_features()
    return dict(first.features or {})


def _types(features: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The types of columns, as far as the language has them."""
    for name, feature in features.items():
        kind = TYPES.get(str(getattr(feature, "dtype", "")).rstrip("0123456789"))
        if kind is not None:
            yield name, kind
        elif name in ("messages", "prompt", "chosen", "rejected"):  # a list of turns
            yield name, "Messages"


def hub_commit(what: str, name: str) -> str | None:
    """The commit that ``org/name@revision`` is now; None where the hub does not say. `what`: ``model``, ``dataset``."""
    try:
        import huggingface_hub as hub
        from httpx2 import HTTPError
    except ImportError:
        return None
    place, _, revision = name.partition("@")
    repository = place.partition(":")[0]
    about = hub.HfApi().model_info if what == "model" else hub.HfApi().dataset_info
    try:
        return about(repository, revision=revision or None).sha
    except (hub.errors.HFValidationError, OSError, HTTPError):
        return None


def hub_problem(what: str, name: str) -> Exception:
    """Why the hub does not give what describes a model or a dataset, in one sentence with the remedy."""
    from ptc.runtime.artifacts import InputWrong, ResourceMissing
    from ptc.runtime.hub import hub_refusal, refusals

    try:
        import datasets  # noqa: F401
        import huggingface_hub as hub
    except ImportError as missing:
        return ResourceMissing(f"asking the hub needs the package {missing.name}: pip install 'ptc[run]'")
    place, _, revision = name.partition("@")
    repository = place.partition(":")[0]
    try:
        if what == "model":
            hub.hf_hub_download(repository, SMALL_FILES[0], revision=revision or None)
        else:
            _features(name)
    except refusals() as problem:
        return hub_refusal(what, repository, problem)
    return InputWrong(f"the {what} `{repository}` says nothing of its {'shape' if what == 'model' else 'columns'}")
