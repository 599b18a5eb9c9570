"""Rows of a program's sources without running it: some of each origin, taken through the steps that need no model.

A source whose rows a model writes has none here; the prompts that it is given can still be drawn. Every row knows its
place: the file and line, or the dataset and row, that it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ptc.compiler import core
from ptc.compiler.meaning import beneath_slices, interval
from ptc.runtime.artifacts import InputWrong, ResourceMissing
from ptc.runtime.conventions import implied
from ptc.runtime.nodes.sources import gym_table, json_objects, load_dataset, plain
from ptc.runtime.overlap import WORDS
from ptc.runtime.row_steps import PLACE, STEPS
from ptc.runtime.tables import column, from_records, with_columns
from ptc.stand_ins import StandIns
from ptc.stdlib.gym import UnknownTask, WrongOptions, rows

ORIGINS_APART = 1 << 40
"""Places of one origin are numbers below this; those of the next begin with it."""


PASSED = ("score", "hint", "prefix")
"""Steps that write what nothing here can, and leave the rows as they are."""


@dataclass(frozen=True)
class Limits:
    """How much is looked at: a check takes seconds, whatever the data."""

    rows: int = 200
    """Rows of a source that are rendered and judged, evenly spread."""
    read: int = 20_000
    """Rows of an origin that are read, and whose prompts are compared."""
    size: int = 64 << 20
    """Bytes of an origin that are read."""
    gym: int = 64
    """Rows that a generator is asked for."""
    words: int = WORDS
    """Words in a row that two prompts must share to be taken for one."""


@dataclass(frozen=True)
class Origin:
    """Rows from outside the program."""

    source: core.Source
    name: str
    """What a reader calls it: the path of a file, the name of a dataset, a task."""
    table: pa.Table
    lines: Sequence[int]
    """The line, or the row counted from 1, of each row."""
    whole: bool
    """Whether these are all."""
    total: int | None = None
    """How many rows there are, where they need not be counted."""


@dataclass(frozen=True)
class Drawn:
    """Rows as a source would give them."""

    table: pa.Table
    whole: bool = True
    """Whether all rows of the source are here."""
    share: float | None = 1.0
    """Which share of the rows of its origin are here; None where nobody knows how many there are."""
    exact: bool = True
    """Whether every step was taken; a filter on rewards, for one, has to wait for them."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def spread(self, count: int) -> Drawn:
        """At most `count` of the rows, evenly spread."""
        if len(self) <= count:
            return self
        return replace(self, table=self.table.take([len(self) * place // count for place in range(count)]), whole=False)

    @property
    def expected(self) -> int | None:
        """How many rows the source has, judged by those that are here."""
        return round(len(self) / self.share) if self.share else None

    @property
    def places(self) -> list[int]:
        found: list[int] = self.table.column(PLACE).to_pylist()
        return found


@dataclass(frozen=True)
class Refused:
    """A step that its rows do not allow: the run would end with these words."""

    source: core.Source
    said: str


@dataclass
class Drawer:
    """Draws each source once."""

    limits: Limits = field(default_factory=Limits)
    stand_ins: StandIns | None = None
    origins: list[Origin] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    _known: dict[int, Drawn | None] = field(default_factory=dict)
    _kept: list[core.Source] = field(default_factory=list)
    """What is known by its identity must stay."""

    def rows(self, source: core.Source) -> Drawn | None:
        """The rows of a source; None where they cannot be had without a model, or the outside is not here."""
        if id(source) not in self._known:
            self._kept.append(source)
            self._known[id(source)] = self._drawn(source)
        return self._known[id(source)]

    def prompts(self, source: core.Source) -> Drawn | None:
        """Rows with the prompts of a source: its own, or those that a model was given."""
        return self._asked(source, ("prompts",))

    def upstream(self, source: core.Source) -> Drawn | None:
        """Rows with the prompts of a source and, where these are made of what a model wrote, of what that was asked."""
        return self._asked(source, ())

    def _asked(self, source: core.Source, stops: tuple[str, ...]) -> Drawn | None:
        found = self.rows(source)
        if found is not None or source.kind in stops:
            return found if found is not None and _has_prompts(found) else None
        parts = [part for each in source.parts if (part := self._asked(each, stops)) is not None]
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else _all(parts)

    def place(self, number: int) -> str:
        """``rows.jsonl:17``, or ``row 17 of org/set``."""
        origin = self.origins[number // ORIGINS_APART]
        line = origin.lines[number % ORIGINS_APART]
        named = origin.source.kind == "file"
        return f"{origin.name}:{line}" if named else f"row {line} of {origin.name}"

    # Steps ------------------------------------------------------------------------------------------------------------

    def _drawn(self, source: core.Source) -> Drawn | None:
        if not any(isinstance(value, core.Source) for value in source.inputs.values()):
            return self._origin(source)
        if source.live is not None or source.kind not in (*STEPS, *PASSED):
            return None
        if source.kind == "slice":
            low, high = interval(source)
            source = replace(source, settings={"from": low, "to": high}, inputs={"rows": beneath_slices(source)})
        inputs = {name: self.rows(value) for name, value in source.inputs.items() if isinstance(value, core.Source)}
        parts = {name: drawn for name, drawn in inputs.items() if drawn is not None}
        if source.kind in PASSED or (source.kind == "join" and len(parts) < len(inputs)):
            below = parts.get("rows")
            return replace(below, exact=below.exact and source.kind not in ("score", "join")) if below else None
        return self._taken(source, parts) if len(parts) == len(inputs) else None

    def _taken(self, source: core.Source, parts: Mapping[str, Drawn]) -> Drawn | None:
        """What a step makes of its inputs; a step that needs what is not drawn lets all rows pass."""
        whole, exact = (all(getattr(part, name) for part in parts.values()) for name in ("whole", "exact"))
        share = _share(parts.values())
        if source.kind in ("keep", "only") and _needs_rewards(source):
            return replace(parts["rows"], exact=False)
        try:
            settings = {"seed": 0, **source.settings}
            table = STEPS[source.kind](settings, {name: part.table for name, part in parts.items()})
        except InputWrong as problem:
            if whole and exact:
                self.refused.append(Refused(source, str(problem)))
            return None
        return Drawn(table, whole, share, exact) if table.num_rows else None

    # Origins ----------------------------------------------------------------------------------------------------------

    def _origin(self, source: core.Source) -> Drawn | None:
        try:
            origin = self._read(source)
        except InputWrong as problem:
            self.refused.append(Refused(source, str(problem)))
            return None
        except (ResourceMissing, ModuleNotFoundError):  # what is not here is not looked at
            return None
        if origin is None or not origin.table.num_rows:
            return None
        first = len(self.origins) * ORIGINS_APART
        self.origins.append(origin)
        count = origin.table.num_rows
        share = 1.0 if origin.whole else count / origin.total if origin.total else None
        return Drawn(with_columns(origin.table, {PLACE: range(first, first + count)}), origin.whole, share)

    def _read(self, source: core.Source) -> Origin | None:
        match source.kind:
            case "gym":
                return self._gym(source)
            case "file":
                path = Path(source.settings["path"])
                if not path.is_file():
                    return None
                read = self._parquet if source.settings["format"] == "parquet" else self._lines
                return read(source, path, str(path))
            case "hub_dataset":
                return self._hub(source)
            case _:
                return None

    def _gym(self, source: core.Source) -> Origin:
        task, size = source.settings["task"], int(source.settings["size"])
        count = min(size, self.limits.gym)
        try:
            records = list(rows(task, count, source.settings["seed"], source.settings.get("options", {})))
        except (UnknownTask, WrongOptions) as problem:
            raise InputWrong(str(problem)) from problem
        return Origin(source, f'gym("{task}")', gym_table(task, records), range(1, count + 1), count == size, size)

    def _lines(self, source: core.Source, path: Path, name: str) -> Origin:
        numbered = json_objects(path)
        records: list[dict[str, Any]] = []
        lines: list[int] = []
        size = 0
        whole = True
        for line, record in numbered:
            if len(records) >= self.limits.read or size > self.limits.size:
                whole = False
                break
            records.append(record)
            lines.append(line)
            size += _size(record)
        names = list(dict.fromkeys(column for record in records for column in record))
        table = plain(from_records(records, names)) if records else pa.table({})
        return Origin(source, name, table, lines, whole)

    def _parquet(self, source: core.Source, path: Path, name: str) -> Origin:
        try:
            with pq.ParquetFile(path) as file:
                batches = list(_until(file.iter_batches(batch_size=1024), self.limits))
                table = pa.Table.from_batches(batches, file.schema_arrow).slice(0, self.limits.read)
                total = file.metadata.num_rows
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as problem:
            first = str(problem).splitlines()[0]
            raise InputWrong(f"{path} is not a Parquet file that can be read ({first})") from problem
        count = table.num_rows
        return Origin(source, name, plain(table), range(1, count + 1), count == total, total)

    def _hub(self, source: core.Source) -> Origin | None:
        name, split = source.settings["name"], source.settings["split"]
        config, revision = source.settings.get("config"), source.settings.get("revision")
        path = self.stand_ins.dataset(name, config, split) if self.stand_ins is not None else None
        if path is not None:
            return replace(self._lines(source, path, name), whole=False)  # a stand-in is not the dataset
        dataset = load_dataset(name, config, split, revision, offline=True)
        table = dataset.with_format("arrow")[: self.limits.read]
        count, total = table.num_rows, dataset.num_rows
        return Origin(source, name, plain(table), range(1, count + 1), count == total, total)


def _has_prompts(drawn: Drawn) -> bool:
    return "prompt" in drawn.table.column_names or implied(drawn.table, "prompt") is not None


def _all(parts: Sequence[Drawn]) -> Drawn:
    """What several sources ask, whatever else their rows hold."""
    names = ("prompt", "system", "answer", PLACE)
    tables = [with_columns(part.table, {"prompt": column(part.table, "prompt")}) for part in parts]
    tables = [table.select([name for name in names if name in table.column_names]) for table in tables]
    return Drawn(STEPS["concat"]({}, {str(n): table for n, table in enumerate(tables)}), False, None, False)


def _share(parts: Iterable[Drawn]) -> float | None:
    shares = {part.share for part in parts}
    return shares.pop() if len(shares) == 1 else None


def _needs_rewards(source: core.Source) -> bool:
    """Whether a filter asks for what a verifier or a model would have written."""
    written = {"reward", "verdict", "group", "logprobs"}
    below = source.inputs["rows"]
    assert isinstance(below, core.Source)
    scored = any(step.kind in ("score", "sample") for step in below.upstream())
    return scored and bool(written & set(columns_of(source.settings["where"])))


def columns_of(expression: Any) -> Iterator[str]:
    if expression["op"] == "column":
        yield expression["name"]
    for argument in expression.get("args", ()):
        yield from columns_of(argument)


def _until(batches: Iterator[pa.RecordBatch], limits: Limits) -> Iterator[pa.RecordBatch]:
    size = 0
    for batch in islice(batches, limits.read // 1024 + 1):
        yield batch
        size += batch.nbytes
        if size > limits.size:
            return


def _size(value: Any) -> int:
    """About as many bytes as a value takes."""
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list) else len(value) if isinstance(value, str) else 8
