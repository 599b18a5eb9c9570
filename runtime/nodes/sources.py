"""Where rows come from: `gym`, `file`, `hub_dataset`, `extern_source`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, InputWrong, Progress, ResourceMissing
from ptc.runtime.externs import call, outside
from ptc.runtime.hub import cache_only, hub_refusal, refusals
from ptc.runtime.tables import from_records, write_rows
from ptc.stdlib.gym import UnknownTask, WrongOptions, rows
from ptc.stdlib.signatures import task_columns

if TYPE_CHECKING:
    from datasets import Dataset


COMMIT = re.compile("[0-9a-f]{40}")


def gym(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Rows of a task generator of reasoning-gym."""
    task, size = node.settings["task"], node.settings["size"]
    records: list[dict[str, Any]] = []
    try:
        for record in rows(task, size, node.settings["seed"], node.settings.get("options", {})):
            records.append(record)
            if len(records) % 256 == 0:
                context.heartbeat(Progress(len(records), size, "rows", {}))
    except (UnknownTask, WrongOptions) as problem:
        raise InputWrong(str(problem)) from problem
    except ModuleNotFoundError as problem:
        raise ResourceMissing("gym(…) needs the package reasoning-gym: pip install 'ptc[run]'") from problem
    write_rows(gym_table(task, records), out)


def gym_table(task: str, records: list[dict[str, Any]]) -> pa.Table:
    """The rows of a task as a table, with the columns that the task is known to have."""
    return from_records(_agreeing(records), task_columns()[task])


def file(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Rows of a JSON Lines or Parquet file, in its order."""
    path = Path(node.settings["path"])
    if not path.exists():
        raise InputWrong(f"there is no file {path}: paths start in the folder that the run is started in")
    if not path.is_file():
        raise InputWrong(f"{path} is not a regular file: name one")
    table = _read_parquet(path) if node.settings["format"] == "parquet" else _read_json_lines(path)
    if table.num_rows == 0:
        raise InputWrong(f"{path} holds no rows: name another")
    write_rows(plain(table), out)


def hub_dataset(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Rows of one split of a dataset on the hub: rows only, no loading script is run."""
    name, split = node.settings["name"], node.settings["split"]
    dataset = load_dataset(
        name, node.settings.get("config"), split, node.settings.get("revision"), not context.profile.allow_hub
    )
    table = dataset.with_format("arrow")[:]
    if table.num_rows == 0:
        raise InputWrong(f"the split `{split}` of the dataset `{name}` holds no rows: name another")
    write_rows(plain(table), out)


def extern_source(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Rows that a Python function gives: mappings from column to value, one by one or in a list."""
    target: str = node.settings["target"]
    given = call(target, node.settings["arguments"])
    if not isinstance(given, Iterable):
        raise InputWrong(f'"{target}" gave {type(given).__name__}: return rows, a mapping for each')
    records: list[dict[str, Any]] = []
    for record in outside(target, iter(given)):
        if not isinstance(record, Mapping):
            raise InputWrong(
                f'"{target}" gave {type(record).__name__} for row {len(records) + 1}: give a mapping for each'
            )
        records.append(dict(record))
        if len(records) % 256 == 0:
            context.heartbeat(Progress(len(records), None, "rows", {}))
    if not records:
        raise InputWrong(f'"{target}" gave no rows: return at least one')
    write_rows(from_records(records, list(dict.fromkeys(name for record in records for name in record))), out)


def load_dataset(name: str, config: str | None, split: str, revision: str | None, offline: bool) -> Dataset:
    """A split of a dataset on the hub, by way of its cache; `offline`: from nowhere else."""
    try:
        import datasets
    except ModuleNotFoundError as problem:
        raise ResourceMissing("datasets from the hub need the package datasets: pip install 'ptc[run]'") from problem
    try:
        with cache_only() if offline else nullcontext():
            found = datasets.load_dataset(name, config, split=split, revision=revision)
    except refusals() as problem:
        raise hub_refusal("dataset", name, problem, offline) from problem
    _refuse_another_commit(found, name, revision)
    return found


def _refuse_another_commit(dataset: Dataset, name: str, revision: str | None) -> None:
    """Without the hub `datasets` takes the newest that its cache has, whatever revision is asked for."""
    if revision is None or not COMMIT.fullmatch(revision):
        return
    folders = {part for file in dataset.cache_files for part in Path(file["filename"]).parts if COMMIT.fullmatch(part)}
    if folders and revision not in folders:
        raise ResourceMissing(
            f"the dataset `{name}` is not in the cache at commit {revision[:12]}, but at {min(folders)[:12]}: "
            "allow_hub = true in the profile lets ptc fetch it, `ptc lock` takes what the hub has now"
        )


def _agreeing(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records with every field of one type: fields that are a number here and a text there become texts."""
    mixed = [name for name in records[0] if len(_kinds(records, name)) > 1] if records else []
    return [
        {**record, **{name: None if record[name] is None else str(record[name]) for name in mixed}}
        for record in records
    ]


def _kinds(records: list[dict[str, Any]], name: str) -> set[str]:
    values = (record[name] for record in records)
    return {"number" if type(value) in (int, float) else type(value).__name__ for value in values if value is not None}


def _read_json_lines(path: Path) -> pa.Table:
    records: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    for _, record in json_objects(path):
        records.append(record)
        names.update(dict.fromkeys(record))
    try:
        return from_records(records, list(names))
    except InputWrong as problem:
        raise InputWrong(f"{path}: {problem}") from problem


def json_objects(path: Path) -> Iterator[tuple[int, dict[str, Json]]]:
    """The rows of a JSON Lines file with the numbers of their lines; blank lines are none."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(
                    line.decode("utf-8-sig" if number == 1 else "utf-8"), parse_constant=_refuse_constant
                )
            except UnicodeDecodeError as problem:
                raise InputWrong(
                    f"{path}:{number}: not UTF-8 at byte {problem.start + 1}: save it as UTF-8"
                ) from problem
            except (ValueError, RecursionError) as problem:
                raise InputWrong(
                    f"{path}:{number}: not one JSON object on one line ({problem}): mend or remove the line"
                ) from problem
            if not isinstance(record, dict):
                raise InputWrong(
                    f"{path}:{number}: a row is a JSON object, not {_json_name(record)}: mend or remove the line"
                )
            yield number, record


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _json_name(value: Json) -> str:
    if value is None:
        return "null"
    return {bool: "a truth value", int: "a number", float: "a number", str: "a text", list: "a list"}[type(value)]


def _read_parquet(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as problem:
        raise InputWrong(
            f"{path} is not a Parquet file that can be read ({str(problem).splitlines()[0]}): write it again"
        ) from problem


def plain(table: pa.Table) -> pa.Table:
    """Texts as plain strings, whatever encoding the file had; no metadata of whoever wrote it."""
    fields = [pa.field(field.name, pa.string() if _is_text(field.type) else field.type) for field in table.schema]
    return table.cast(pa.schema(fields)).combine_chunks()


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))
