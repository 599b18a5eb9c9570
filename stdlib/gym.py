"""Tasks with generators and graders written by others: reasoning-gym, behind `gym(...)` and the verifier `gym_scorer`.

An entry keeps its task's metadata, which the grader reads. JSON knows neither tuples nor keys that are no strings, and
graders do tell them apart (`arc_agi` gives 0.05 instead of 1 for a list in place of a tuple), so both are tagged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ptc.stdlib.signatures import task_columns

_TUPLE = "$tuple"
_PAIRS = "$pairs"


class UnknownTask(ValueError):
    """No generator of that name."""


class WrongOptions(ValueError):
    """The generator refuses its arguments; the message is its own."""


def rows(task: str, size: int, seed: int, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """`size` rows of a task: `question`, `answer`, the scalar fields of its metadata, and `entry` for its scorer.

    Equal arguments give equal rows, whatever else the process draws. Raises `UnknownTask`, `WrongOptions`.
    """
    import reasoning_gym

    columns = task_columns().get(task)
    if columns is None:
        raise UnknownTask(f"reasoning-gym has no task `{task}`")
    try:
        dataset = reasoning_gym.create_dataset(task, size=size, seed=seed, **options)
    except (TypeError, ValueError, AssertionError) as problem:
        raise WrongOptions(f"reasoning-gym refuses the arguments of `{task}`: {problem}") from problem
    for index in range(size):
        entry = dataset[index]
        fields = {"question": entry["question"], "answer": entry["answer"]}
        metadata = entry["metadata"]
        yield {
            **{name: fields.get(name, metadata.get(name)) for name in columns if name != "entry"},
            "entry": encode_entry(task, entry),
        }


def encode_entry(task: str, entry: Mapping[str, Any]) -> str:
    """An entry as JSON, with the task whose scorer reads it."""
    return json.dumps({"task": task, **_encode(entry)}, ensure_ascii=False, separators=(",", ":"))


def decode_entry(text: str) -> tuple[str, dict[str, Any]]:
    """The task and the entry, with the types it had."""
    entry = _decode(json.loads(text))
    return entry.pop("task"), entry


def _encode(value: Any) -> Any:
    if isinstance(value, tuple):
        return {_TUPLE: [_encode(item) for item in value]}
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: _encode(item) for key, item in value.items()}
        return {_PAIRS: [[_encode(key), _encode(item)] for key, item in value.items()]}
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, dict):
        if _TUPLE in value:
            return tuple(_decode(item) for item in value[_TUPLE])
        if _PAIRS in value:
            return {_decode(key): _decode(item) for key, item in value[_PAIRS]}
        return {key: _decode(item) for key, item in value.items()}
    return value
